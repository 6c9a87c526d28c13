// Half precision, bit for bit, against values built from the format's definition.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "tests/unit/kernels/set_test.h"
#include "tests/unit/kernels/short_float.h"

namespace mrl::kernels {
namespace {

using Format = ShortFloat<5>;

class Half : public SetTest {
 protected:
  uint16_t ToHalf(float value) {
    uint16_t half = 0;
    table().f32_to_f16(&value, 1, &half);
    return half;
  }
  static std::vector<uint16_t> AllHalves() {
    std::vector<uint16_t> halves(65536);
    for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
    return halves;
  }
};

TEST_P(Half, WidensEveryHalfExactly) {
  const std::vector<uint16_t> halves = AllHalves();
  std::vector<float> floats(halves.size());
  table().f16_to_f32(halves.data(), halves.size(), floats.data());
  for (const uint16_t half : halves) {
    if (Format::IsNan(half)) {
      ASSERT_TRUE(std::isnan(floats[half])) << half;
      ASSERT_EQ(std::signbit(floats[half]), half >= 0x8000) << half;
    } else {
      ASSERT_EQ(BitsOf(floats[half]), BitsOf(Format::ValueOf(half))) << half;
    }
  }
}

TEST_P(Half, RoundTripsEveryHalf) {
  const std::vector<uint16_t> halves = AllHalves();
  std::vector<float> floats(halves.size());
  std::vector<uint16_t> back(halves.size());
  table().f16_to_f32(halves.data(), halves.size(), floats.data());
  table().f32_to_f16(floats.data(), floats.size(), back.data());
  for (const uint16_t half : halves) {
    ASSERT_EQ(back[half], Format::IsNan(half) ? half | 0x0200 : half) << half;
  }
}

TEST_P(Half, RoundsTiesToEvenAndTheRestToTheNearest) {
  Format::ExpectTiesToEvenAndTheRestToTheNearest([this](float value) { return ToHalf(value); });
}

TEST_P(Half, TurnsWhatIsBeyondItsRangeIntoInfinity) {
  EXPECT_EQ(ToHalf(65504.0f), 0x7BFF);
  EXPECT_EQ(ToHalf(std::nextafter(65520.0f, 0.0f)), 0x7BFF);
  for (const float value : {65520.0f, 65536.0f, 1e6f, 3e38f, kInfinity}) {
    EXPECT_EQ(ToHalf(value), 0x7C00) << value;
    EXPECT_EQ(ToHalf(-value), 0xFC00) << value;
  }
}

TEST_P(Half, TurnsWhatIsBelowItsRangeIntoSignedZero) {
  for (const float value : {0.0f, 1e-45f, 1e-38f, 0x1p-26f, 0x1p-25f}) {
    EXPECT_EQ(ToHalf(value), 0x0000) << value;
    EXPECT_EQ(ToHalf(-value), 0x8000) << value;
  }
  EXPECT_EQ(ToHalf(0x1.000002p-25f), 0x0001);
}

TEST_P(Half, NarrowsAnyFloatAsTheReferenceDoes) {
  const std::vector<float> floats = AnyFloats();
  std::vector<uint16_t> expected(floats.size());
  std::vector<uint16_t> halves(floats.size());
  ForSet(InstructionSet::kScalar).f32_to_f16(floats.data(), floats.size(), expected.data());
  table().f32_to_f16(floats.data(), floats.size(), halves.data());
  EXPECT_EQ(halves, expected);
}

TEST_P(Half, WritesNoMoreThanItIsAsked) {
  for (size_t n = 0; n <= 67; ++n) {
    const std::vector<float> ones(n, 1.0f);
    std::vector<uint16_t> halves(n + 1, 0xABCD);
    table().f32_to_f16(ones.data(), n, halves.data());
    std::vector<uint16_t> expected(n + 1, 0x3C00);
    expected[n] = 0xABCD;
    ASSERT_EQ(halves, expected) << n;

    halves.resize(n);
    std::vector<float> floats(n + 1, -7.0f);
    table().f16_to_f32(halves.data(), n, floats.data());
    std::vector<float> widened(n + 1, 1.0f);
    widened[n] = -7.0f;
    ASSERT_EQ(floats, widened) << n;
  }
}

INSTANTIATE_TEST_SUITE_P(Sets, Half, EverySet(), SetName);

}  // namespace
}  // namespace mrl::kernels
