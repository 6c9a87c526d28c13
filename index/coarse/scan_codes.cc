#include "index/coarse/scan_codes.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/check.h"

namespace mrl::coarse {
namespace {

constexpr double kCodeMax = 127;
constexpr uint8_t kZeroCode = 128;  // codes are stored with 128 added

double SquaredNorm(const float* x, size_t n) {
  double squares = 0;
  for (size_t i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * x[i];
  return squares;
}

// The step that maps `largest` to the outermost code.
float ScaleFor(double largest) { return static_cast<float>(largest / kCodeMax); }

int Quantise(double value, float scale) {
  if (scale == 0) return 0;
  // To the nearest, ties to even, as lrint does, which is a call: a sum this large has no bits for
  // a fraction.
  constexpr double kNoFraction = 0x1.8p52;
  const double code = std::clamp(value / scale, -kCodeMax, kCodeMax);
  return static_cast<int>((code + kNoFraction) - kNoFraction);
}

}  // namespace

float ScoreOfEstimate(Metric metric, const QuantisedQuery& query, float estimate) {
  if (metric != Metric::kL2) return estimate;
  return static_cast<float>(std::max(0.0, query.squared_norm - 2.0 * estimate));
}

float RoundUp(double value) {
  const float rounded = static_cast<float>(value);
  if (rounded >= value) return rounded;
  return std::nextafter(rounded, std::numeric_limits<float>::infinity());
}

BlockEncoder::BlockEncoder(Metric metric, uint32_t dims)
    : metric_(metric), dims_(dims), values_(kernels::kBlockRows * dims) {}

void BlockEncoder::Add(const float* row) {
  DCHECK(!full());
  double factor = 1;
  if (metric_ == Metric::kCosine) {
    const double squares = SquaredNorm(row, dims_);
    factor = squares > 0 ? 1 / std::sqrt(squares) : 0;  // a zero prefix scores 0: so do zero codes
  }
  double* values = values_.data() + rows_ * dims_;
  for (uint32_t i = 0; i < dims_; ++i) values[i] = row[i] * factor;
  ++rows_;
}

void BlockEncoder::Encode(uint8_t* codes, kernels::Int8Block* block, float* bias) {
  std::memset(codes, kZeroCode, BlockBytes(dims_));
  if (metric_ == Metric::kL2) std::fill_n(bias, kernels::kBlockRows, 0.0f);
  double largest = 0;
  for (size_t i = 0; i < rows_ * dims_; ++i) largest = std::max(largest, std::abs(values_[i]));
  const float scale = ScaleFor(largest);
  double error_max = 0;
  double norm_max = 0;
  for (size_t row = 0; row < rows_; ++row) {
    double error = 0;
    double coded = 0;
    double squares = 0;
    for (uint32_t i = 0; i < dims_; ++i) {
      const double value = values_[row * dims_ + i];
      const int code = Quantise(value, scale);
      const double back = static_cast<double>(scale) * code;
      error += (value - back) * (value - back);
      coded += back * back;
      squares += value * value;
      const size_t word = i / kernels::kWordDims * kernels::kBlockRows + row;
      codes[word * kernels::kWordDims + i % kernels::kWordDims] =
          static_cast<uint8_t>(code + kZeroCode);
    }
    error_max = std::max(error_max, error);
    norm_max = std::max(norm_max, coded);
    if (metric_ == Metric::kL2) bias[row] = static_cast<float>(-squares / 2);
  }
  *block = {scale, RoundUp(std::sqrt(error_max)), RoundUp(std::sqrt(norm_max))};
  rows_ = 0;
}

QuantisedQuery QuantiseQuery(Metric metric, const float* query, uint32_t dims) {
  QuantisedQuery out;
  out.codes.resize(CodeWords(dims) * kernels::kWordDims);
  out.squared_norm = SquaredNorm(query, dims);
  const double norm = std::sqrt(out.squared_norm);
  const bool normalise = metric == Metric::kCosine;
  const double factor = !normalise ? 1 : norm > 0 ? 1 / norm : 0;
  double largest = 0;
  for (uint32_t i = 0; i < dims; ++i) largest = std::max(largest, std::abs(query[i] * factor));
  out.scale = ScaleFor(largest);
  double error = 0;
  for (uint32_t i = 0; i < dims; ++i) {
    const double value = query[i] * factor;
    const int code = Quantise(value, out.scale);
    const double off = value - static_cast<double>(out.scale) * code;
    error += off * off;
    out.codes[i] = static_cast<int8_t>(code);
    out.code_sum += code;
  }
  out.norm = RoundUp(norm * factor);
  out.error_norm = RoundUp(std::sqrt(error));
  return out;
}

}  // namespace mrl::coarse
