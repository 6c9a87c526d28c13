// What the scans of all sets share per block. `static`, so that every set has its own copy,
// compiled with its own flags.
#pragma once

#include <cfloat>

#include "index/kernels/kernels.h"

namespace mrl::kernels {

// A query code meets stored codes that are 128 too large: what that adds to each dot product.
static inline int32_t CodeOffset(const Int8Query& query) { return 128 * query.code_sum; }

// Bit r: row r of `block` exists and is allowed.
template <typename Scan>
static inline uint64_t RowMask(const Scan& scan, size_t block) {
  const size_t first = block * kBlockRows;
  if (first >= scan.rows) return 0;
  const size_t left = scan.rows - first;
  const uint64_t present = left >= kBlockRows ? ~uint64_t{0} : (uint64_t{1} << left) - 1;
  return scan.allowed == nullptr ? present : present & scan.allowed[block];
}

// upper of a row = (bias + scale * float(dot)) + error, every operation rounded on its own and in
// this order in every set.
struct BlockTerms {
  float scale;
  float error;
};

static inline BlockTerms TermsOf(const Int8Block& block, const Int8Query& query) {
  return {block.scale * query.scale,
          query.norm * block.error_norm + query.error_norm * block.norm_max};
}

// Without bias, a dot product below this cannot reach the threshold, whatever is rounded on the
// way; one at or above it may. Spares nearly all blocks the float arithmetic.
static inline int32_t LeastDot(const BlockTerms& terms, float threshold) {
  if (!(terms.scale > 0)) return INT32_MIN;
  const double size = (threshold < 0 ? -threshold : threshold) + static_cast<double>(terms.error);
  const double slack = size * 1e-6 + FLT_MIN;
  const double least = (static_cast<double>(threshold) - terms.error - slack) / terms.scale - 2;
  if (!(least > INT32_MIN)) return INT32_MIN;
  return least >= INT32_MAX ? INT32_MAX : static_cast<int32_t>(least);
}

// Every query has room for the rows of so many blocks.
template <typename Query>
static inline bool HasRoom(const Query* queries, size_t query_count, size_t blocks = 1) {
  for (size_t q = 0; q < query_count; ++q) {
    if (queries[q].out.capacity - queries[q].out.count < blocks * kBlockRows) return false;
  }
  return true;
}

static inline void Append(BitSurvivors& out, uint16_t score, size_t row) {
  out.scores[out.count] = score;
  out.rows[out.count] = static_cast<uint32_t>(row);
  ++out.count;
}

}  // namespace mrl::kernels
