// Search over the bit codes of a segment.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/buffer.h"
#include "index/coarse/bit_codes.h"
#include "index/coarse/shortlist.h"

namespace mrl::coarse {

// One code of a segment in memory, twice: row by row, to score the survivors of an earlier stage
// with one cache miss each, and by strips of 64 rows, to scan.
class BitArray {
 public:
  // `words`: rows x BitWords(code); `calibration`: one per ladder step up to code.dims.
  // RESOURCE_EXHAUSTED where the strips find no memory.
  static absl::StatusOr<BitArray> Make(Code code, uint32_t rows, Buffer words,
                                       std::vector<float> calibration);
  // Bytes of both layouts.
  static uint64_t MemoryBytes(Code code, uint64_t rows);

  Code code() const { return code_; }
  uint32_t rows() const { return rows_; }
  // Of the ladder step `level`.
  float calibration(size_t level) const { return calibration_[level]; }

  // Scores of single rows, as a scan gives them.
  void Score(const QuantisedBits& query, absl::Span<const uint32_t> rows, uint16_t* scores) const;
  // The first `count` strips, block after block; valid while the array is.
  std::vector<const uint8_t*> Strips(size_t count) const;

 private:
  absl::Status CutIntoStrips();

  Code code_;
  uint32_t rows_ = 0;
  Buffer words_;
  std::vector<Buffer> strips_;
  std::vector<float> calibration_;
};

// One query of a tile.
struct BitRequest {
  const QuantisedBits* query = nullptr;
  size_t keep = 0;  // at least 1
  const std::function<bool()>* stopped = nullptr;
};

struct ScoredBits {
  std::vector<uint16_t> scores;
  std::vector<uint32_t> rows;  // increasing
};

// For each request the best `keep` rows by score, equal scores by row. Requests of one call (1 to
// kernels::kTileMax) are of the same prefix and share every block's load; each gets what it
// would get alone. A request that was stopped gets CANCELLED.
std::vector<absl::StatusOr<ScoredBits>> SearchBits(const BitArray& array, const uint64_t* allowed,
                                                   absl::Span<const BitRequest> requests);

}  // namespace mrl::coarse
