// Kind `scan`: exhaustive search of any ladder prefix, over codes where they are stored.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/memory_account.h"
#include "index/coarse/bit_search.h"
#include "index/coarse/coarse.h"
#include "index/coarse/int8_search.h"

namespace mrl::coarse {

class ScanIndex : public CoarseIndex {
 public:
  // The codes of the segment's schema, those of 8 bits and those that nest apart.
  ScanIndex(std::shared_ptr<const store::Segment> segment, std::vector<CodeArray> arrays,
            std::vector<BitArray> bit_arrays, MemoryAccount::Reservation memory);

  absl::string_view kind() const override { return "scan"; }
  std::string Describe() const override;
  uint32_t dims() const override { return 0; }
  uint64_t memory_bytes() const override { return memory_.bytes(); }
  absl::StatusOr<Result> Search(const Request& request) const override;
  // Codes are read once for the tile; stored precision, where it stands in, once for each request.
  Results SearchTile(absl::Span<const Request> requests) const override;
  absl::Status Estimate(const float* query, Code code, absl::Span<const uint32_t> rows,
                        float* scores) const override;

  // The codes of 8 bits of one prefix, and those that serve a nesting code; null when there are
  // none.
  const CodeArray* Find(Code code) const;
  const BitArray* FindBits(Code code) const;
  QuantisedBits Quantise(const float* query, Code code, const BitArray& array) const;
  absl::Span<const CodeArray> arrays() const { return arrays_; }
  absl::Span<const BitArray> bit_arrays() const { return bit_arrays_; }
  const std::shared_ptr<const store::Segment>& segment() const { return segment_; }
  // What Search refuses a request for.
  absl::Status Check(const Request& request) const;

 private:
  // The best by the estimates of a code.
  Results SearchCodes(absl::Span<const Request> requests, const CodeArray& array) const;
  Results SearchBitCodes(absl::Span<const Request> requests, const BitArray& array) const;
  // The exact best of the prefix: over codes where there are any and bounds hold, then rescored.
  Results SearchStored(absl::Span<const Request> requests, size_t level) const;
  absl::StatusOr<Result> ScanStored(const Request& request, size_t level) const;
  absl::StatusOr<Result> Rescore(const Request& request, size_t level, const CodeArray& array,
                                 absl::StatusOr<std::vector<KeyedRow>> survivors) const;

  const std::shared_ptr<const store::Segment> segment_;
  const std::vector<CodeArray> arrays_;
  const std::vector<BitArray> bit_arrays_;
  const MemoryAccount::Reservation memory_;
};

}  // namespace mrl::coarse
