// Codes of random bits in memory, and scans of them: right for bytes and time, worthless for
// recall.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/schema/schema.h"

namespace mrl::bench {

// Numbers that a seed determines (SplitMix64).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next();
  // About normal: the sum of four uniform values.
  float Normal();

 private:
  uint64_t state_;
};

// The codes of one prefix, scanned as the coarse kind `scan` does: queries quantised, codes read
// once for a tile, the best rows of each query selected.
class MadeCodes {
 public:
  virtual ~MadeCodes() = default;
  // RESOURCE_EXHAUSTED where the codes find no memory.
  static absl::StatusOr<std::unique_ptr<MadeCodes>> Make(Code code, uint32_t rows);

  // `queries`: 1 to kernels::kTileMax, `code.dims` floats each. The rows found, of all queries.
  virtual absl::StatusOr<size_t> Search(absl::Span<const float* const> queries,
                                        size_t keep) const = 0;
  // Scores of all rows for one query by popcount of bit planes, a row's bits side by side, and
  // nothing selected: the layout that the scan does not have. A sum of the scores; 0 for codes of
  // 8 bits, which have no planes.
  virtual uint64_t ScoreByPlanes(const float* query) const = 0;
  // What a scan reads, in pieces that lie anywhere.
  virtual std::vector<absl::Span<const std::byte>> Scanned() const = 0;
};

// Reads every byte as fast as one thread can; what comes back depends on all of them.
uint64_t ReadAll(absl::Span<const std::byte> bytes);

}  // namespace mrl::bench
