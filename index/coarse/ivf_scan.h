// Kind `ivf_scan`: rows in lists around the centres of k-means, as codes that are scanned list by
// list, the nearest lists first.
//
// The prefix that is clustered (d_c) and the code that is scanned (d_s x bits) are chosen apart,
// and a query may take shorter ones of both without a rebuild. Source: AdANNS-IVF and AdANNS-IVF-D,
// "AdANNS: A Framework for Adaptive Semantic Search" (NeurIPS 2023), section 4.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/memory_account.h"
#include "index/coarse/bit_search.h"
#include "index/coarse/centroids.h"
#include "index/coarse/coarse.h"
#include "index/coarse/int8_search.h"

namespace mrl::coarse {

// Rows in the order of their lists. Each list begins a block of 64 places; places at its end that
// no row fills hold kNoRow.
struct IvfLists {
  static constexpr uint32_t kNoRow = ~uint32_t{0};

  std::vector<uint32_t> begins;  // lists + 1 numbers of blocks
  Buffer rows;                   // u32 by place
  std::vector<uint64_t> filled;  // bitmap over places

  uint32_t count() const { return static_cast<uint32_t>(begins.size()) - 1; }
  uint32_t places() const { return begins.back() * kernels::kBlockRows; }
  BlockRange list(uint32_t number) const { return {begins[number], begins[number + 1]}; }
  uint32_t row_at(uint32_t place) const { return rows.As<uint32_t>()[place]; }
};

// What the lists hold: one of the two.
struct IvfCodes {
  Code code;
  std::optional<CodeArray> bytes;  // 8 bits
  std::optional<BitStrips> bits;   // 1, 2 and 4 bits
  std::vector<float> calibration;  // of bits
};

// Takes the parameters nprobe (lists that are scanned, 1 to all; default a sixteenth of them) and
// cluster_dims (a ladder step up to d_c; default d_c).
class IvfScanIndex final : public CoarseIndex {
 public:
  IvfScanIndex(std::shared_ptr<const store::Segment> segment, Centroids centroids, IvfLists lists,
               IvfCodes codes, MemoryAccount::Reservation memory);

  absl::string_view kind() const override { return "ivf_scan"; }
  std::string Describe() const override;
  uint32_t dims() const override { return 0; }
  uint64_t memory_bytes() const override { return memory_.bytes(); }
  Effort effort() const override;
  // With bits: by the codes in the lists, whose shorter prefixes are served too. Without: the
  // rows of the lists at stored precision, so that nprobe = all lists gives what kind `scan` gives.
  absl::StatusOr<Result> Search(const Request& request) const override;
  absl::Status Estimate(const float* query, Code code, absl::Span<const uint32_t> rows,
                        float* scores) const override;

 private:
  struct Probe {
    uint32_t cluster_dims = 0;
    uint32_t lists = 0;
  };
  absl::StatusOr<Probe> Check(const Request& request) const;
  // Bitmap over places of `ranges`: filled, and allowed.
  std::vector<uint64_t> AllowedPlaces(const uint64_t* allowed,
                                      absl::Span<const BlockRange> ranges) const;
  absl::StatusOr<Result> SearchBits(const Request& request, const uint64_t* places,
                                    absl::Span<const BlockRange> ranges) const;
  absl::StatusOr<Result> SearchBytes(const Request& request, const uint64_t* places,
                                     absl::Span<const BlockRange> ranges) const;
  absl::StatusOr<Result> SearchStored(const Request& request, const uint64_t* places,
                                      absl::Span<const BlockRange> ranges) const;

  const std::shared_ptr<const store::Segment> segment_;
  const Centroids centroids_;
  const IvfLists lists_;
  const IvfCodes codes_;
  const MemoryAccount::Reservation memory_;
};

}  // namespace mrl::coarse
