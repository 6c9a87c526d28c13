#include "index/io/float16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace mrl::io {
namespace {

TEST(Half, KnownPatternsHaveTheirValues) {
  EXPECT_EQ(HalfToFloat(0x3c00), 1.0F);
  EXPECT_EQ(HalfToFloat(0xc000), -2.0F);
  EXPECT_EQ(HalfToFloat(0x3555), 0.333251953125F);
  EXPECT_EQ(HalfToFloat(0x7bff), 65504.0F);
  EXPECT_EQ(HalfToFloat(0x7c00), std::numeric_limits<float>::infinity());
  EXPECT_EQ(HalfToFloat(0xfc00), -std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(HalfToFloat(0x7e00)));
}

TEST(Half, SmallestValuesAndSignedZerosSurvive) {
  EXPECT_EQ(HalfToFloat(0x0001), 0x1p-24F);
  EXPECT_EQ(HalfToFloat(0x83ff), -0x3ffp-24F);
  EXPECT_EQ(HalfToFloat(0x0400), 0x1p-14F);
  EXPECT_FALSE(std::signbit(HalfToFloat(0x0000)));
  EXPECT_TRUE(std::signbit(HalfToFloat(0x8000)));
}

// Neighbouring patterns are neighbouring values: no exponent is off by one.
TEST(Half, PositivePatternsGrow) {
  for (uint16_t half = 0; half < 0x7c00; ++half) {
    ASSERT_LT(HalfToFloat(half), HalfToFloat(static_cast<uint16_t>(half + 1))) << half;
  }
}

}  // namespace
}  // namespace mrl::io
