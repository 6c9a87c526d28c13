// A segment of made rows in memory, with its codes: nothing of it is on disk.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/memory_account.h"
#include "index/coarse/scan_index.h"
#include "index/store/segment.h"

namespace mrl::bench {

// Clustered rows whose values shrink with the dimension, as Matryoshka training makes them. Row r's
// id is r.
class Synthetic final : public store::Segment {
 public:
  // Made on `threads` threads, the same for any number of them.
  static absl::StatusOr<std::shared_ptr<const Synthetic>> Make(const Schema& schema, uint32_t rows,
                                                               unsigned threads);

  uint64_t Sequence(uint32_t row) const override { return row + 1; }
  PointId Id(uint32_t row) const override { return PointId(uint64_t{row}); }
  std::optional<uint32_t> Find(const PointId&) const override { return std::nullopt; }
  bool IdLess(uint32_t a, uint32_t b) const override { return a < b; }
  absl::StatusOr<std::string> Payload(uint32_t) const override { return std::string(); }
  Memory memory() const override { return {}; }

 private:
  Synthetic(const store::SegmentInfo& info, const Schema& schema) : Segment(info, schema) {}

  std::vector<Buffer> levels_;
  Buffer norms_;
};

// One row of the kind that Synthetic holds: `dim` floats.
void MakeRow(uint64_t seed, uint32_t dim, float* out);

// The segment's codes, as the schema asks for them.
absl::StatusOr<std::shared_ptr<const coarse::CoarseIndex>> MakeCodes(
    std::shared_ptr<const store::Segment> segment, unsigned threads, MemoryAccount& account);

}  // namespace mrl::bench
