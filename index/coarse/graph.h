// Kind `graph`: rows linked to their neighbours. A search walks from row to row towards the query,
// and compares it with the signs of the rows that it meets.
//
// Neighbours are those by the cosine of the prefix as it is stored, chosen among rows that are near
// by their signs; the walk compares a query with signs by the finer estimates of bit_codes.h.
// Sources of the links: the base layer of "Efficient and robust approximate nearest neighbor search
// using Hierarchical Navigable Small World graphs" (Malkov and Yashunin, TPAMI 2020), refined as
// graph_refine.h says. In place of upper layers a walk compares evenly spaced rows, as many as the
// square root of all, and sets out from the nearest of them: they fill a few pages, and several
// beginnings find queries that are unlike any row.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/memory_account.h"
#include "index/coarse/bit_codes.h"
#include "index/coarse/coarse.h"

namespace mrl::coarse {

// For each row the rows that it is linked to.
struct GraphLinks {
  static constexpr uint32_t kNoRow = ~uint32_t{0};

  uint32_t degree = 0;  // links of a row at most
  Buffer rows;          // u32 [rows][degree]; the first kNoRow ends the links of a row

  // For so many rows, none of which has links yet.
  static absl::StatusOr<GraphLinks> Make(uint32_t rows, uint32_t degree);

  // All `degree` of them, and only those before the first kNoRow.
  const uint32_t* of(uint32_t row) const { return rows.As<uint32_t>() + size_t{row} * degree; }
  absl::Span<const uint32_t> all_of(uint32_t row) const;
};

// Signs of every row, row by row.
struct GraphCodes {
  Code code;
  Buffer words;                    // u64 [rows][BitWords(code)]
  std::vector<float> calibration;  // one per ladder step up to code.dims
};

// Takes the parameter efSearch: how many of the nearest rows found so far are walked on from (1 to
// kEfSearchMax; default the request's keep); and gamma: none is walked on from that is more than
// 1 + gamma times as far away (1 - cosine, estimated) as the k-th best (0 to 100; default: they all
// are), so that an easy query ends early. What a walk finds are the best of all rows that it met.
class GraphIndex final : public CoarseIndex {
 public:
  static constexpr uint32_t kEfSearchMax = 100'000;

  GraphIndex(std::shared_ptr<const store::Segment> segment, GraphLinks links, GraphCodes codes,
             MemoryAccount::Reservation memory);

  absl::string_view kind() const override { return "graph"; }
  std::string Describe() const override;
  uint32_t dims() const override { return 0; }
  uint64_t memory_bytes() const override { return memory_.bytes(); }
  Effort effort() const override;
  // With 1 bit only, at the graph's prefix or a shorter one.
  absl::StatusOr<Result> Search(const Request& request) const override;
  absl::Status Estimate(const float* query, Code code, absl::Span<const uint32_t> rows,
                        float* scores) const override;

 private:
  struct Asked {
    uint32_t ef_search = 0;
    double gamma = std::numeric_limits<double>::infinity();
  };
  // The parameters of a request that is legal.
  absl::StatusOr<Asked> Check(const Request& request) const;

  const std::shared_ptr<const store::Segment> segment_;
  const GraphLinks links_;
  const GraphCodes codes_;
  const MemoryAccount::Reservation memory_;
};

}  // namespace mrl::coarse
