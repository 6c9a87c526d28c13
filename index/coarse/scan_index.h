// Kind `scan`: exhaustive search of any ladder prefix, over 8-bit codes where they are stored.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/memory_account.h"
#include "index/coarse/coarse.h"
#include "index/coarse/int8_search.h"

namespace mrl::coarse {

class ScanIndex : public CoarseIndex {
 public:
  // One array per code of the segment's schema, in its order.
  ScanIndex(std::shared_ptr<const store::Segment> segment, std::vector<CodeArray> arrays,
            MemoryAccount::Reservation memory);

  absl::string_view kind() const override { return "scan"; }
  std::string Describe() const override;
  uint32_t dims() const override { return 0; }
  uint64_t memory_bytes() const override { return memory_.bytes(); }
  absl::StatusOr<Result> Search(const Request& request) const override;
  absl::Status Estimate(const float* query, Code code, absl::Span<const uint32_t> rows,
                        float* scores) const override;

 private:
  const CodeArray* Find(Code code) const;
  absl::Status Check(const Request& request) const;
  // The raw estimates' best.
  absl::StatusOr<Result> SearchCodes(const Request& request, const CodeArray& array) const;
  // The exact best of the prefix: over codes where there are any, then rescored.
  absl::StatusOr<Result> SearchStored(const Request& request, size_t level) const;
  std::vector<KeyedRow> Rescore(const Request& request, size_t level,
                                std::vector<KeyedRow> survivors) const;

  const std::shared_ptr<const store::Segment> segment_;
  const std::vector<CodeArray> arrays_;
  const MemoryAccount::Reservation memory_;
};

}  // namespace mrl::coarse
