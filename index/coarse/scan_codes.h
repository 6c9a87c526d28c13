// 8-bit codes of a prefix: what is quantised, how far off a code can be, and the quantised query.
//
// COSINE quantises the unit-normalised prefix, the other metrics the raw one. An estimate is larger
// for a nearer row under every metric: the cosine, the dot product, and <q,x> - |x|^2/2 for L2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "index/kernels/kernels.h"
#include "index/schema/schema.h"

namespace mrl::coarse {

constexpr size_t CodeWords(uint32_t dims) {
  return (dims + kernels::kWordDims - 1) / kernels::kWordDims;
}
constexpr size_t BlockBytes(uint32_t dims) {
  return CodeWords(dims) * kernels::kBlockRows * kernels::kWordDims;
}
constexpr size_t BlockCount(uint64_t rows) {
  return static_cast<size_t>((rows + kernels::kBlockRows - 1) / kernels::kBlockRows);
}

// Gathers up to 64 rows and encodes them as one block in the layout of kernels::Int8Block. The
// scale is the block's own: one outlying row costs its 63 neighbours precision and nobody else.
class BlockEncoder {
 public:
  BlockEncoder(Metric metric, uint32_t dims);

  void Add(const float* row);  // the first `dims` floats are read; not when full()
  size_t rows() const { return rows_; }
  bool full() const { return rows_ == kernels::kBlockRows; }

  // Encodes the gathered rows into BlockBytes(dims) bytes, and under L2 fills kBlockRows biases
  // (`bias` may be null under the other metrics). The errors are measured in double and rounded up.
  // Ready for the next block afterwards.
  void Encode(uint8_t* codes, kernels::Int8Block* block, float* bias);

 private:
  const Metric metric_;
  const uint32_t dims_;
  size_t rows_ = 0;
  std::vector<double> values_;  // kBlockRows x dims
};

// A query in 8 bits, against codes of the same metric.
struct QuantisedQuery {
  std::vector<int8_t> codes;
  float scale = 0;
  float norm = 0;  // of the quantised vector's original: 1 or 0 under COSINE
  float error_norm = 0;
  int32_t code_sum = 0;
  double squared_norm = 0;  // of the raw prefix, for L2

  // Without errors the kernel's upper bounds are the estimates themselves.
  kernels::Int8Query WithErrors() const {
    return {codes.data(), scale, norm, error_norm, code_sum};
  }
  kernels::Int8Query WithoutErrors() const { return {codes.data(), scale, 0, 0, code_sum}; }
};
QuantisedQuery QuantiseQuery(Metric metric, const float* query, uint32_t dims);
// The metric's own score of an estimate.
float ScoreOfEstimate(Metric metric, const QuantisedQuery& query, float estimate);

// The smallest float that is not below `value`.
float RoundUp(double value);

}  // namespace mrl::coarse
