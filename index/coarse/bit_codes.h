// Codes of 1, 2 or 4 bits a dimension: how a row becomes a string of bits, and a query the weights
// of these bits.
//
// A dimension of the unit-normalised prefix is cut into 2^bits steps about zero, of the width that
// serves a normal distribution of standard deviation 1/sqrt(dims) best (1 bit: the sign). With the
// bits b of a step, highest weight last, its value is the sum of 2^(p-1) * (2 b_p - 1), so that the
// dot product of a query with a coded row is a weighted sum over bits, and the query stays finer
// than the code. Bits of a row lie dimension by dimension: a shorter prefix is a shorter string.
//
// Estimates are calibrated, not bounded: the cosine of q and x is estimated by <q, v(x)> / c, where
// c is the mean of <x, v(x)> over the coded rows, measured for each ladder prefix. (RaBitQ, SIGMOD
// 2024, divides by each row's own <x, v(x)>; measured here, that changes no shortlist's recall by
// more than a thousandth and costs four bytes a row and prefix.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "index/kernels/kernels.h"
#include "index/schema/schema.h"

namespace mrl::coarse {

// 64-bit words of one row; strips of a scan of that prefix.
constexpr size_t BitWords(Code code) {
  return (size_t{code.dims} * code.bits + kernels::kStripBits - 1) / kernels::kStripBits;
}

// Codes rows of one segment and measures the calibration on the way. Not thread-safe where it
// changes.
class BitEncoder {
 public:
  // `code.dims` is on the ladder.
  BitEncoder(const Schema& schema, Code code);

  // Codes `rows` (of each the first `code.dims` floats are read), as many as there are, each into
  // BitWords(code) words, one after the other, and leaves levels() agreements of each: <x, v(x)> at
  // each ladder step. For any number of threads.
  void Encode(absl::Span<const float* const> rows, uint64_t* words, double* agreements) const;
  // Takes the agreements of `rows` rows into the calibration. Their order counts, to the last bit.
  void Count(const double* agreements, size_t rows);
  size_t levels() const { return ladder_.size(); }
  // The mean of <x, v(x)> so far, x normalised at that prefix, for each ladder step up to the
  // code's dims; 0 where every row had a zero prefix.
  std::vector<float> Calibration() const;

 private:
  // Codes a row whose squares add up to `squares`; `products`: of its values with their coded ones.
  void EncodeRow(const float* row, double squares, uint64_t* words, float* products) const;

  const Code code_;
  const std::vector<uint32_t> ladder_;  // up to code_.dims
  const double step_;                   // for values scaled by sqrt(dims)
  uint64_t rows_ = 0;
  std::vector<double> agreements_;  // sums of <x, v(x)>, by ladder step
};

// A query against bit codes: integer weights, as kernels.h wants them, and what turns a score into
// an estimate of the cosine.
struct QuantisedBits {
  std::vector<int8_t> weights;   // 64 per strip
  std::vector<uint64_t> planes;  // kernels::kBitPlanes per strip
  int weight_sum = 0;            // of magnitudes: no score is above it
  double cosine_per_weight = 0;  // 0 for a zero query

  size_t strips() const { return weights.size() / kernels::kStripBits; }
  // The score of a cosine of 1; infinite for a zero query.
  double NearestScore() const { return (1 / cosine_per_weight + weight_sum) / 2; }
  float Cosine(uint16_t score) const {
    return static_cast<float>(cosine_per_weight * (2 * score - weight_sum));
  }
};
// `code`: dims of the prefix that is compared, bits of the stored code; `calibration` of that
// prefix.
QuantisedBits QuantiseBits(const float* query, Code code, float calibration);

}  // namespace mrl::coarse
