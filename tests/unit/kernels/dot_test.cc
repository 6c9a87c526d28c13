// Dot products and squared distances against sums in double. Arrays are allocated to the element,
// so that AddressSanitizer sees a read past the end.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "tests/unit/kernels/set_test.h"

namespace mrl::kernels {
namespace {

// Four of the widest vectors (16 floats), the loop of a kernel, then every tail.
constexpr size_t kLengthMax = 4 * 16 + 16 + 15;
constexpr size_t kOffsetMax = 3;

class Dot : public SetTest {
 protected:
  // `offset` elements, then n random ones: the data starts misaligned and ends with the allocation.
  std::vector<float> Random(size_t n, size_t offset, float magnitude = 1) {
    std::vector<float> values(offset + n);
    std::uniform_real_distribution<float> uniform(-magnitude, magnitude);
    for (float& value : values) value = uniform(random_);
    return values;
  }
  std::vector<uint16_t> Halves(const std::vector<float>& values) {
    std::vector<uint16_t> halves(values.size());
    kernels().f32_to_f16(values.data(), values.size(), halves.data());
    return halves;
  }
  std::vector<Bf16> Bfloats(const std::vector<float>& values) {
    std::vector<Bf16> bfloats(values.size());
    kernels().f32_to_bf16(values.data(), values.size(), bfloats.data());
    return bfloats;
  }
  std::vector<int8_t> Codes(const std::vector<float>& values, float* scale) {
    std::vector<int8_t> codes(values.size());
    *scale = kernels().f32_to_int8(values.data(), values.size(), codes.data());
    return codes;
  }
  // What an array means, in floats.
  std::vector<float> Floats(const std::vector<Bf16>& bfloats) {
    std::vector<float> values(bfloats.size());
    kernels().bf16_to_f32(bfloats.data(), bfloats.size(), values.data());
    return values;
  }
  std::vector<float> Floats(const std::vector<int8_t>& codes, float scale) {
    std::vector<float> values(codes.size());
    kernels().int8_to_f32(codes.data(), scale, codes.size(), values.data());
    return values;
  }
  std::vector<float> Floats(const std::vector<uint16_t>& halves) {
    std::vector<float> values(halves.size());
    kernels().f16_to_f32(halves.data(), halves.size(), values.data());
    return values;
  }
  const Table& kernels() const { return ForSet(InstructionSet::kScalar); }

  struct Sums {
    double dot = 0, dot_size = 0, l2 = 0;
  };
  static Sums Expect(const float* q, const float* x, size_t n) {
    Sums sums;
    for (size_t i = 0; i < n; ++i) {
      const double product = double{q[i]} * x[i];
      const double difference = double{q[i]} - x[i];
      sums.dot += product;
      sums.dot_size += std::abs(product);
      sums.l2 += difference * difference;
    }
    return sums;
  }
  void ExpectAll(const std::vector<float>& q, const std::vector<float>& x, size_t q_offset,
                 size_t x_offset, double tolerance) {
    const size_t n = q.size() - q_offset;
    const float* q0 = q.data() + q_offset;
    Sums sums = Expect(q0, x.data() + x_offset, n);
    EXPECT_NEAR(table().dot_f32(q0, x.data() + x_offset, n), sums.dot, tolerance * sums.dot_size);
    EXPECT_NEAR(table().l2_f32(q0, x.data() + x_offset, n), sums.l2, tolerance * sums.l2);
    const std::vector<uint16_t> halves = Halves(x);
    sums = Expect(q0, Floats(halves).data() + x_offset, n);
    EXPECT_NEAR(table().dot_f16(q0, halves.data() + x_offset, n), sums.dot,
                tolerance * sums.dot_size);
    EXPECT_NEAR(table().l2_f16(q0, halves.data() + x_offset, n), sums.l2, tolerance * sums.l2);
    const std::vector<Bf16> bfloats = Bfloats(x);
    sums = Expect(q0, Floats(bfloats).data() + x_offset, n);
    EXPECT_NEAR(table().dot_bf16(q0, bfloats.data() + x_offset, n), sums.dot,
                tolerance * sums.dot_size);
    EXPECT_NEAR(table().l2_bf16(q0, bfloats.data() + x_offset, n), sums.l2, tolerance * sums.l2);
    float scale = 0;
    const std::vector<int8_t> codes = Codes(x, &scale);
    sums = Expect(q0, Floats(codes, scale).data() + x_offset, n);
    EXPECT_NEAR(table().dot_int8(q0, codes.data() + x_offset, scale, n), sums.dot,
                tolerance * sums.dot_size);
    EXPECT_NEAR(table().l2_int8(q0, codes.data() + x_offset, scale, n), sums.l2,
                tolerance * sums.l2);
  }

  std::mt19937 random_{1};
};

TEST_P(Dot, AgreesWithDoubleForEveryLengthAndMisalignment) {
  for (size_t n = 0; n <= kLengthMax; ++n) {
    for (size_t offset = 0; offset <= kOffsetMax; ++offset) {
      SCOPED_TRACE(testing::Message() << "n " << n << ", offset " << offset);
      ExpectAll(Random(n, offset), Random(n, kOffsetMax - offset), offset, kOffsetMax - offset,
                2e-6);
      if (HasFailure()) return;
    }
  }
}

TEST_P(Dot, SeveralPairsGetTheBitsThatEachGetsAlone) {
  for (const size_t n : {0, 1, 15, 16, 63, 64, 97, 144, 1024}) {
    for (const size_t query_count : {1, 2, 3, 7, 16}) {
      for (const size_t row_count : {1, 4, 6}) {
        std::vector<std::vector<float>> vectors;
        std::vector<const float*> starts;
        for (size_t i = 0; i < query_count + row_count; ++i) vectors.push_back(Random(n, 0));
        for (const auto& vector : vectors) starts.push_back(vector.data());
        const float* const* rows = starts.data() + query_count;
        // What lies behind the sums must stay.
        std::vector<float> sums(query_count * row_count + 1);
        sums.back() = 7.0f;
        for (const float times :
             {1.0f, 2.0f}) {  // the second time it is added, which rounds nothing
          table().dots_f32(starts.data(), query_count, rows, row_count, n, sums.data());
          for (size_t i = 0; i < query_count * row_count; ++i) {
            EXPECT_EQ(sums[i],
                      times * table().dot_f32(starts[i % query_count], rows[i / query_count], n))
                << n << ", " << i << " of " << query_count << " x " << row_count;
          }
        }
        EXPECT_EQ(sums.back(), 7.0f);
      }
    }
  }
}

// A row that is converted first gives the same bits as one that is converted on the way.
TEST_P(Dot, ConvertedRowsGiveTheSameBits) {
  for (const size_t n : {0, 1, 15, 16, 63, 64, 97, 1024}) {
    const std::vector<float> q = Random(n, 0);
    const std::vector<float> x = Random(n, 0);
    std::vector<float> wide(n);
    const auto dot = [&] { return table().dot_f32(q.data(), wide.data(), n); };
    const std::vector<uint16_t> halves = Halves(x);
    table().f16_to_f32(halves.data(), n, wide.data());
    EXPECT_EQ(dot(), table().dot_f16(q.data(), halves.data(), n)) << n;
    const std::vector<Bf16> bfloats = Bfloats(x);
    table().bf16_to_f32(bfloats.data(), n, wide.data());
    EXPECT_EQ(dot(), table().dot_bf16(q.data(), bfloats.data(), n)) << n;
    float scale = 0;
    const std::vector<int8_t> codes = Codes(x, &scale);
    table().int8_to_f32(codes.data(), 1, n, wide.data());
    EXPECT_EQ(scale * dot(), table().dot_int8(q.data(), codes.data(), scale, n)) << n;
  }
}

TEST_P(Dot, StaysExactOverLongVectors) {
  for (const size_t n : {1024, 3072, 4099, 65536}) {
    SCOPED_TRACE(n);
    ExpectAll(Random(n, 0), Random(n, 0), 0, 0, 5e-6);
  }
}

TEST_P(Dot, CountsEveryElementOnce) {
  for (size_t n = 1; n <= kLengthMax; ++n) {
    std::vector<float> q(n, 1.0f);
    std::vector<float> x(n);
    for (size_t i = 0; i < n; ++i) x[i] = static_cast<float>(i + 1);  // sums below 2^24 are exact
    const size_t triangle = n * (n + 1) / 2;
    const float sum = static_cast<float>(triangle);
    EXPECT_EQ(table().dot_f32(q.data(), x.data(), n), sum);
    EXPECT_EQ(table().dot_f16(q.data(), Halves(x).data(), n), sum);
    EXPECT_EQ(table().dot_bf16(q.data(), Bfloats(x).data(), n), sum);
    std::vector<int8_t> codes(n);
    for (size_t i = 0; i < n; ++i) codes[i] = static_cast<int8_t>(i + 1);
    EXPECT_EQ(table().dot_int8(q.data(), codes.data(), 1, n), sum);
    const std::vector<float> zeros(n, 0.0f);
    EXPECT_EQ(table().l2_f32(q.data(), zeros.data(), n), static_cast<float>(n));
    EXPECT_EQ(table().l2_f16(q.data(), Halves(zeros).data(), n), static_cast<float>(n));
    EXPECT_EQ(table().l2_bf16(q.data(), Bfloats(zeros).data(), n), static_cast<float>(n));
    EXPECT_EQ(table().l2_int8(q.data(), codes.data(), 0, n), static_cast<float>(n));
  }
}

TEST_P(Dot, KeepsDenormals) {
  const float smallest = std::numeric_limits<float>::denorm_min();
  const std::vector<float> q(37, 1.0f);
  const std::vector<float> x(37, smallest);
  EXPECT_EQ(table().dot_f32(q.data(), x.data(), 37), 37 * smallest);
  const std::vector<uint16_t> half(37, 1);  // 2^-24, the smallest half
  EXPECT_EQ(table().dot_f16(q.data(), half.data(), 37), 37 * 0x1p-24f);
  const std::vector<Bf16> bfloat(37, Bf16{1});
  EXPECT_EQ(table().dot_bf16(q.data(), bfloat.data(), 37), 37 * 0x1p-133f);
}

TEST_P(Dot, IsExactForTheExtremesOfCodes) {
  for (size_t n = 1; n <= kLengthMax; ++n) {
    const std::vector<float> q(n, 3.0f);
    for (const int code : {-128, -127, 127}) {
      const std::vector<int8_t> codes(n, static_cast<int8_t>(code));
      const auto sum = static_cast<float>(3 * code * static_cast<int>(n));
      EXPECT_EQ(table().dot_int8(q.data(), codes.data(), 0.5F, n), sum / 2);
      const auto difference = static_cast<float>(3 - code);
      EXPECT_EQ(table().l2_int8(q.data(), codes.data(), 1, n),
                difference * difference * static_cast<float>(n));
    }
  }
}

TEST_P(Dot, FindsNoDistanceBetweenARowAndItsOwnValues) {
  for (const size_t n : {1, 16, 97, 1024}) {
    const std::vector<float> x = Random(n, 0);
    float scale = 0;
    const std::vector<int8_t> codes = Codes(x, &scale);
    EXPECT_EQ(table().l2_int8(Floats(codes, scale).data(), codes.data(), scale, n), 0) << n;
    const std::vector<Bf16> bfloats = Bfloats(x);
    EXPECT_EQ(table().l2_bf16(Floats(bfloats).data(), bfloats.data(), n), 0) << n;
  }
}

TEST_P(Dot, SurvivesHugeNorms) {
  const std::vector<float> q = Random(129, 0, 1e18f);
  const std::vector<float> x = Random(129, 0, 1e18f);
  const Sums sums = Expect(q.data(), x.data(), 129);
  EXPECT_NEAR(table().dot_f32(q.data(), x.data(), 129), sums.dot, 2e-6 * sums.dot_size);
  EXPECT_NEAR(table().l2_f32(q.data(), x.data(), 129), sums.l2, 2e-6 * sums.l2);
  const std::vector<Bf16> bfloats = Bfloats(x);
  const Sums rounded = Expect(q.data(), Floats(bfloats).data(), 129);
  EXPECT_NEAR(table().dot_bf16(q.data(), bfloats.data(), 129), rounded.dot,
              2e-6 * rounded.dot_size);
  float scale = 0;
  const std::vector<int8_t> codes = Codes(x, &scale);
  const Sums coded = Expect(q.data(), Floats(codes, scale).data(), 129);
  EXPECT_NEAR(table().dot_int8(q.data(), codes.data(), scale, 129), coded.dot,
              2e-6 * coded.dot_size);
  EXPECT_NEAR(table().l2_int8(q.data(), codes.data(), scale, 129), coded.l2, 2e-6 * coded.l2);
  const std::vector<float> large(129, 3e38f);
  EXPECT_EQ(table().dot_f32(large.data(), large.data(), 129),
            std::numeric_limits<float>::infinity());
}

TEST_P(Dot, PassesNanOn) {
  for (size_t at = 0; at < 33; ++at) {
    std::vector<float> x(33, 1.0f);
    const std::vector<float> q(33, 1.0f);
    x[at] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_TRUE(std::isnan(table().dot_f32(q.data(), x.data(), 33))) << at;
    EXPECT_TRUE(std::isnan(table().l2_f16(q.data(), Halves(x).data(), 33))) << at;
    EXPECT_TRUE(std::isnan(table().l2_bf16(q.data(), Bfloats(x).data(), 33))) << at;
    EXPECT_TRUE(std::isnan(table().dot_int8(x.data(), std::vector<int8_t>(33).data(), 1, 33)))
        << at;
  }
}

INSTANTIATE_TEST_SUITE_P(Sets, Dot, EverySet(), SetName);

}  // namespace
}  // namespace mrl::kernels
