// Search over 8-bit codes of one prefix.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/buffer.h"
#include "base/parallel.h"
#include "index/coarse/block_ranges.h"
#include "index/coarse/scan_codes.h"
#include "index/coarse/shortlist.h"
#include "index/kernels/kernels.h"
#include "index/schema/schema.h"

namespace mrl::coarse {

// The codes of one prefix of a segment, in memory.
struct CodeArray {
  Code code;
  uint32_t rows = 0;
  Buffer codes;        // BlockCount(rows) blocks of BlockBytes(dims)
  Buffer blocks;       // BlockCount(rows) kernels::Int8Block
  Buffer row_bias;     // L2: BlockCount(rows) * 64 floats; empty otherwise
  float norm_max = 0;  // no prefix is longer

  const kernels::Int8Block* block_data() const { return blocks.As<kernels::Int8Block>(); }
  const float* bias_data() const { return row_bias.size() == 0 ? nullptr : row_bias.As<float>(); }
  // Fills norm_max from the blocks. False when a block holds what no encoder writes.
  bool SetNormMax();
};

// One query of a tile.
struct Int8Request {
  const CodeArray* array = nullptr;
  Metric metric = Metric::kCosine;
  const QuantisedQuery* query = nullptr;
  size_t keep = 0;  // at least 1
  const std::function<bool()>* stopped = nullptr;
};

// For each request the best `keep` rows by estimate, and all that tie with the last. Requests (1 to
// kernels::kTileMax, all of `array`) share every block's load; each gets what it would get alone.
// CANCELLED for one that was stopped. `allowed`: bitmap over rows; null = all. `helpers`: idle
// threads that may take a share of the rows; may be null.
std::vector<absl::StatusOr<std::vector<KeyedRow>>> SearchEstimates(
    const CodeArray& array, const uint64_t* allowed, absl::Span<const Int8Request> requests,
    Parallel* helpers = nullptr);

// As SearchEstimates, but all rows that can belong to the best `keep` by true score: every row
// whose upper bound reaches the `keep`-th largest lower bound. The bounds include the rounding of
// the estimate and of an fp32 rescoring.
std::vector<absl::StatusOr<std::vector<KeyedRow>>> SearchBounds(
    const CodeArray& array, const uint64_t* allowed, absl::Span<const Int8Request> requests,
    Parallel* helpers = nullptr);

// The same for one request, of the rows in `blocks` alone, in that order.
absl::StatusOr<std::vector<KeyedRow>> SearchEstimateBlocks(const uint64_t* allowed,
                                                           absl::Span<const BlockRange> blocks,
                                                           const Int8Request& request);
absl::StatusOr<std::vector<KeyedRow>> SearchBoundBlocks(const uint64_t* allowed,
                                                        absl::Span<const BlockRange> blocks,
                                                        const Int8Request& request);

// False where the magnitudes leave the range in which the bounds of SearchBounds hold (estimates
// near f32's overflow or underflow, a zero query): score every row instead.
bool BoundsHold(const Int8Request& request);

// What the roundings of an estimate and of an fp32 rescoring can add up to.
float RoundingSlack(const Int8Request& request);

// The estimate of one row.
float EstimateRow(const CodeArray& array, const QuantisedQuery& query, uint32_t row);

}  // namespace mrl::coarse
