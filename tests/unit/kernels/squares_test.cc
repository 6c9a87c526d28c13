#include "index/kernels/squares.h"

#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"

namespace mrl::kernels {
namespace {

TEST(SumOfSquares, AddsEveryValueOnce) {
  for (size_t begin = 0; begin < 3; ++begin) {
    for (size_t count = 0; count < 40; ++count) {
      std::vector<float> values(begin + count + 1, 1000.0F);  // around those that count
      double wanted = 0;
      for (size_t i = 0; i < count; ++i) {
        values[begin + i] = static_cast<float>(i) - 7.5F;
        wanted += static_cast<double>(values[begin + i]) * values[begin + i];
      }
      EXPECT_EQ(SumOfSquares(values.data() + begin, count), wanted) << begin << " " << count;
    }
  }
}

TEST(SumOfSquares, HoldsEveryFloat) {
  constexpr float kMax = std::numeric_limits<float>::max();
  constexpr float kDenormal = std::numeric_limits<float>::denorm_min();
  const std::vector<float> large(21, -kMax);
  EXPECT_DOUBLE_EQ(SumOfSquares(large.data(), 21), 21.0 * kMax * kMax);
  const std::vector<float> small(21, kDenormal);
  EXPECT_DOUBLE_EQ(SumOfSquares(small.data(), 21), 21.0 * kDenormal * kDenormal);
  for (const float odd : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
    for (size_t at = 0; at < 21; ++at) {
      std::vector<float> values(21, 1.0F);
      values[at] = odd;
      EXPECT_FALSE(std::isfinite(SumOfSquares(values.data(), 21))) << at;
    }
  }
}

}  // namespace
}  // namespace mrl::kernels
