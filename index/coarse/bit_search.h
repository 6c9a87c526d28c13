// Search over the bit codes of a segment.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/buffer.h"
#include "base/parallel.h"
#include "index/coarse/bit_codes.h"
#include "index/coarse/block_ranges.h"
#include "index/coarse/shortlist.h"

namespace mrl::coarse {

// The bits of one code by strips, block by block of 64 rows: the layout that is scanned.
class BitStrips {
 public:
  // `words`: rows x BitWords(code). RESOURCE_EXHAUSTED where the strips find no memory.
  static absl::StatusOr<BitStrips> Make(Code code, uint32_t rows, const uint64_t* words);
  static uint64_t MemoryBytes(Code code, uint64_t rows);

  uint32_t rows() const { return rows_; }
  // The first `count` strips, block after block; valid while the object is.
  std::vector<const uint8_t*> First(size_t count) const;

 private:
  void FillBlock(uint32_t begin, uint32_t end, const uint64_t* words);

  uint32_t rows_ = 0;
  std::vector<Buffer> strips_;
};

// One code of a segment in memory, twice: row by row, to score the survivors of an earlier stage
// with one cache miss each, and by strips, to scan.
class BitArray {
 public:
  // `words`: rows x BitWords(code); `calibration`: one per ladder step up to code.dims.
  // RESOURCE_EXHAUSTED where the strips find no memory.
  static absl::StatusOr<BitArray> Make(Code code, uint32_t rows, Buffer words,
                                       std::vector<float> calibration);
  // Bytes of both layouts.
  static uint64_t MemoryBytes(Code code, uint64_t rows);

  Code code() const { return code_; }
  uint32_t rows() const { return strips_.rows(); }
  const BitStrips& strips() const { return strips_; }
  // Of the ladder step `level`.
  float calibration(size_t level) const { return calibration_[level]; }

  // Row by row, BitWords(code()) words each.
  const uint64_t* words() const { return words_.As<uint64_t>(); }

  // Scores of single rows, as a scan gives them.
  void Score(const QuantisedBits& query, absl::Span<const uint32_t> rows, uint16_t* scores) const;

 private:
  Code code_;
  Buffer words_;
  BitStrips strips_;
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
// `helpers`: idle threads that may take a share of the rows; may be null.
std::vector<absl::StatusOr<ScoredBits>> SearchBits(const BitStrips& strips, const uint64_t* allowed,
                                                   absl::Span<const BitRequest> requests,
                                                   Parallel* helpers = nullptr);

// For one request, of the rows in `blocks` alone, in that order: the best `keep` rows and all that
// tie with the last of them, in no order.
absl::StatusOr<ScoredBits> SearchBitBlocks(const BitStrips& strips, const uint64_t* allowed,
                                           absl::Span<const BlockRange> blocks,
                                           const BitRequest& request);

}  // namespace mrl::coarse
