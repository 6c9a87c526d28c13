// bfloat16, bit for bit, against values built from the format's definition.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "tests/unit/kernels/set_test.h"
#include "tests/unit/kernels/short_float.h"

namespace mrl::kernels {
namespace {

using Format = ShortFloat<8>;

class Bfloat : public SetTest {
 protected:
  uint16_t ToBits(float value) {
    Bf16 out{};
    table().f32_to_bf16(&value, 1, &out);
    return static_cast<uint16_t>(out);
  }
  std::vector<float> WidenAll() {
    std::vector<Bf16> all(65536);
    for (size_t i = 0; i < all.size(); ++i) all[i] = Bf16{static_cast<uint16_t>(i)};
    std::vector<float> floats(all.size());
    table().bf16_to_f32(all.data(), all.size(), floats.data());
    return floats;
  }
};

TEST_P(Bfloat, WidensEveryValueExactly) {
  const std::vector<float> floats = WidenAll();
  for (size_t i = 0; i < floats.size(); ++i) {
    const auto bits = static_cast<uint16_t>(i);
    if (Format::IsNan(bits)) {
      ASSERT_TRUE(std::isnan(floats[i])) << i;
    } else {
      ASSERT_EQ(BitsOf(floats[i]), BitsOf(Format::ValueOf(bits))) << i;
    }
  }
}

TEST_P(Bfloat, RoundTripsEveryValue) {
  const std::vector<float> floats = WidenAll();
  std::vector<Bf16> back(floats.size());
  table().f32_to_bf16(floats.data(), floats.size(), back.data());
  for (size_t i = 0; i < back.size(); ++i) {
    const auto bits = static_cast<uint16_t>(i);
    ASSERT_EQ(static_cast<uint16_t>(back[i]), Format::IsNan(bits) ? bits | 0x0040 : bits) << i;
  }
}

TEST_P(Bfloat, RoundsTiesToEvenAndTheRestToTheNearest) {
  Format::ExpectTiesToEvenAndTheRestToTheNearest([this](float value) { return ToBits(value); });
}

TEST_P(Bfloat, TurnsWhatIsBeyondItsRangeIntoInfinity) {
  EXPECT_EQ(ToBits(0x1.FEp127f), 0x7F7F);
  EXPECT_EQ(ToBits(std::nextafter(0x1.FFp127f, 0.0f)), 0x7F7F);
  for (const float value : {0x1.FFp127f, std::numeric_limits<float>::max(), kInfinity}) {
    EXPECT_EQ(ToBits(value), 0x7F80) << value;
    EXPECT_EQ(ToBits(-value), 0xFF80) << value;
  }
}

TEST_P(Bfloat, NarrowsAnyFloatAsTheReferenceDoes) {
  const std::vector<float> floats = AnyFloats();
  std::vector<Bf16> expected(floats.size());
  std::vector<Bf16> bfloats(floats.size());
  ForSet(InstructionSet::kScalar).f32_to_bf16(floats.data(), floats.size(), expected.data());
  table().f32_to_bf16(floats.data(), floats.size(), bfloats.data());
  EXPECT_EQ(bfloats, expected);
}

TEST_P(Bfloat, WritesNoMoreThanItIsAsked) {
  for (size_t n = 0; n <= 40; ++n) {
    const std::vector<float> ones(n, 1.0f);
    std::vector<Bf16> bfloats(n + 1, Bf16{0xABCD});
    table().f32_to_bf16(ones.data(), n, bfloats.data());
    for (size_t i = 0; i < n; ++i) ASSERT_EQ(bfloats[i], Bf16{0x3F80}) << n;
    ASSERT_EQ(bfloats[n], Bf16{0xABCD}) << n;
    bfloats.resize(n);
    bfloats.shrink_to_fit();
    std::vector<float> floats(n + 1, -7.0f);
    table().bf16_to_f32(bfloats.data(), n, floats.data());
    for (size_t i = 0; i < n; ++i) ASSERT_EQ(floats[i], 1.0f) << n;
    ASSERT_EQ(floats[n], -7.0f) << n;
  }
}

INSTANTIATE_TEST_SUITE_P(Sets, Bfloat, EverySet(), SetName);

}  // namespace
}  // namespace mrl::kernels
