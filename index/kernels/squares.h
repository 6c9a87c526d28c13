// Sums of squares in double.
#pragma once

#include <cstddef>

namespace mrl::kernels {

// Eight sums side by side, so that an addition waits for the one before it in its own sum only. The
// same bits on every machine: a float's square is exact in double, whether or not the compiler adds
// it in one step.
inline double SumOfSquares(const float* values, size_t count) {
  constexpr size_t kSums = 8;
  double sums[kSums] = {};
  size_t i = 0;
  for (; i + kSums <= count; i += kSums) {
#pragma GCC unroll 8
    for (size_t j = 0; j < kSums; ++j) {
      const double value = values[i + j];
      sums[j] += value * value;
    }
  }
  for (size_t j = 0; i < count; ++i, ++j) {
    const double value = values[i];
    sums[j] += value * value;
  }
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

}  // namespace mrl::kernels
