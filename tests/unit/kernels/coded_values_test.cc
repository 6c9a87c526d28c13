// Vectors in 8 bits: scale and codes, the same in every set, and the same again from their values.
#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "tests/unit/kernels/set_test.h"

namespace mrl::kernels {
namespace {

struct Coded {
  float scale = 0;
  std::vector<int8_t> codes;
  bool operator==(const Coded&) const = default;
};

class CodedValues : public SetTest {
 protected:
  static Coded Encode(const Table& table, const std::vector<float>& values) {
    Coded coded;
    coded.codes.resize(values.size());
    coded.scale = table.f32_to_int8(values.data(), values.size(), coded.codes.data());
    return coded;
  }
  Coded Encode(const std::vector<float>& values) const { return Encode(table(), values); }
  std::vector<float> Decode(const Coded& coded) const {
    std::vector<float> values(coded.codes.size());
    table().int8_to_f32(coded.codes.data(), coded.scale, values.size(), values.data());
    return values;
  }
  // Uniform in all magnitudes that a vector with a norm in f32 may have.
  std::vector<float> Random(size_t n, float magnitude) {
    std::uniform_real_distribution<float> uniform(-magnitude, magnitude);
    std::vector<float> values(n);
    for (float& value : values) value = uniform(random_);
    return values;
  }
  float RandomMagnitude() {
    std::uniform_real_distribution<float> exponent(-110, 63);
    return std::exp2(exponent(random_));
  }

  std::mt19937 random_{3};
};

TEST_P(CodedValues, LieWithinHalfAStepOfWhatWasGiven) {
  for (size_t n = 1; n <= 100; ++n) {
    const std::vector<float> values = Random(n, RandomMagnitude());
    const Coded coded = Encode(values);
    const std::vector<float> decoded = Decode(coded);
    for (size_t i = 0; i < n; ++i) {
      const double scale{coded.scale};
      ASSERT_EQ(decoded[i], scale * coded.codes[i]) << n << " " << i;  // exact
      ASSERT_LE(std::abs(double{decoded[i]} - values[i]), scale * 0.50001) << n << " " << i;
    }
  }
}

TEST_P(CodedValues, GiveTheLargestMagnitudeTheLastCode) {
  for (int i = 0; i < 100'000; ++i) {
    const float largest = RandomMagnitude();
    const Coded coded = Encode({largest, -largest, 0});
    ASSERT_EQ(coded.codes, (std::vector<int8_t>{127, -127, 0})) << largest;
    ASSERT_NEAR(127.0 * coded.scale / largest, 1 + 0x1p-17, 0x1p-17 + 0x1p-23) << largest;
  }
}

TEST_P(CodedValues, AreCodedAsTheyWereAgain) {
  for (int i = 0; i < 3'000; ++i) {
    const Coded coded = Encode(Random(1 + i % 70, RandomMagnitude()));
    ASSERT_EQ(Encode(Decode(coded)), coded) << i;
  }
}

TEST_P(CodedValues, AreTheReferencesToTheBit) {
  const Table& reference = ForSet(InstructionSet::kScalar);
  for (int i = 0; i < 3'000; ++i) {
    const std::vector<float> values = Random(i % 70, RandomMagnitude());
    ASSERT_EQ(Encode(values), Encode(reference, values)) << i;
  }
  // Ties: 127 makes the scale 1.
  const std::vector<float> ties = {127, 0.5F, 1.5F, 2.5F, -0.5F, -1.5F, -2.5F, 126.5F};
  EXPECT_EQ(Encode(ties).codes, (std::vector<int8_t>{127, 0, 2, 2, 0, -2, -2, 126}));
}

TEST_P(CodedValues, AreZeroWhereTheScaleWouldBeSubnormal) {
  for (const float value : {0.0F, -0.0F, FLT_TRUE_MIN, FLT_MIN, 126.9F * FLT_MIN}) {
    const Coded coded = Encode(std::vector<float>(19, value));
    EXPECT_EQ(coded.scale, 0) << value;
    EXPECT_EQ(coded.codes, std::vector<int8_t>(19)) << value;
    EXPECT_EQ(Decode(coded), std::vector<float>(19)) << value;
  }
  const Coded least = Encode(std::vector<float>(19, 127 * FLT_MIN));
  EXPECT_EQ(least.scale, FLT_MIN);
  EXPECT_EQ(least.codes, std::vector<int8_t>(19, 127));
}

TEST_P(CodedValues, NeedNoMoreRoomThanTheyHave) {
  for (size_t n = 0; n <= 40; ++n) {
    const std::vector<float> ones(n, -1.0f);
    std::vector<int8_t> codes(n + 1, 99);
    const float scale = table().f32_to_int8(ones.data(), n, codes.data());
    for (size_t i = 0; i < n; ++i) ASSERT_EQ(codes[i], -127) << n;
    ASSERT_EQ(codes[n], 99) << n;
    codes.resize(n);
    codes.shrink_to_fit();
    std::vector<float> floats(n + 1, -7.0f);
    table().int8_to_f32(codes.data(), scale, n, floats.data());
    for (size_t i = 0; i < n; ++i) ASSERT_EQ(floats[i], -127 * scale) << n;
    ASSERT_EQ(floats[n], -7.0f) << n;
  }
}

INSTANTIATE_TEST_SUITE_P(Sets, CodedValues, EverySet(), SetName);

}  // namespace
}  // namespace mrl::kernels
