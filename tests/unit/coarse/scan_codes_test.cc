#include "index/coarse/scan_codes.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mrl::coarse {
namespace {

using ::testing::Each;

constexpr uint32_t kDims = 10;  // not a multiple of four: the last word is padded
constexpr size_t kRows = 50;    // not a whole block

class BlockOfRows : public ::testing::TestWithParam<Metric> {
 protected:
  void SetUp() override {
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    for (float& value : rows_) value = 3 * normal(random);
    std::memset(rows_.data() + 5 * kDims, 0, kDims * sizeof(float));
    BlockEncoder encoder(GetParam(), kDims);
    for (size_t r = 0; r < kRows; ++r) encoder.Add(rows_.data() + r * kDims);
    encoder.Encode(codes_.data(), &block_, bias_.data());
    EXPECT_EQ(encoder.rows(), 0);
  }

  double Coded(size_t row, size_t i) const {
    return block_.scale * (static_cast<double>(codes_[(i / 4 * 64 + row) * 4 + i % 4]) - 128);
  }
  // What the codes of a row stand for.
  std::vector<double> True(size_t row) const {
    std::vector<double> values(rows_.begin() + row * kDims, rows_.begin() + (row + 1) * kDims);
    double squares = 0;
    for (const double value : values) squares += value * value;
    if (GetParam() == Metric::kCosine && squares > 0) {
      for (double& value : values) value /= std::sqrt(squares);
    }
    return values;
  }

  std::vector<float> rows_ = std::vector<float>(kRows * kDims);
  std::vector<uint8_t> codes_ = std::vector<uint8_t>(BlockBytes(kDims));
  std::vector<float> bias_ = std::vector<float>(64);
  kernels::Int8Block block_;
};

TEST_P(BlockOfRows, HoldsNoRowFurtherOffThanItsError) {
  double error_max = 0;
  double norm_max = 0;
  for (size_t r = 0; r < kRows; ++r) {
    const std::vector<double> values = True(r);
    double error = 0;
    double norm = 0;
    for (size_t i = 0; i < kDims; ++i) {
      error += std::pow(values[i] - Coded(r, i), 2);
      norm += std::pow(Coded(r, i), 2);
    }
    error_max = std::max(error_max, std::sqrt(error));
    norm_max = std::max(norm_max, std::sqrt(norm));
  }
  EXPECT_GE(block_.error_norm, error_max);
  EXPECT_LE(block_.error_norm, error_max * (1 + 1e-6));
  EXPECT_GE(block_.norm_max, norm_max);
  EXPECT_LE(block_.norm_max, norm_max * (1 + 1e-6));
}

TEST_P(BlockOfRows, PadsMissingRowsAndDimensionsWithTheZeroCode) {
  for (size_t i = 0; i < 12; ++i) {
    for (size_t row = 0; row < 64; ++row) {
      if (row < kRows && i < kDims && row != 5) continue;
      EXPECT_EQ(codes_[(i / 4 * 64 + row) * 4 + i % 4], 128) << i << " " << row;
    }
  }
}

TEST_P(BlockOfRows, CarriesHalfTheSquaredNormAsBiasUnderL2Only) {
  if (GetParam() != Metric::kL2) {
    EXPECT_THAT(bias_, Each(0.0f));
    return;
  }
  for (size_t r = 0; r < kRows; ++r) {
    double squares = 0;
    for (const double value : True(r)) squares += value * value;
    EXPECT_FLOAT_EQ(bias_[r], static_cast<float>(-squares / 2)) << r;
  }
  EXPECT_EQ(bias_[kRows], 0);
}

INSTANTIATE_TEST_SUITE_P(Metrics, BlockOfRows,
                         ::testing::Values(Metric::kCosine, Metric::kInnerProduct, Metric::kL2));

TEST(QuantiseQuery, MeasuresItsErrorAndPadsWithZeros) {
  const std::vector<float> query = {3, -4, 0.01f, 0, 0, 12};
  const QuantisedQuery raw = QuantiseQuery(Metric::kInnerProduct, query.data(), 6);
  ASSERT_EQ(raw.codes.size(), 8);
  EXPECT_EQ(raw.codes[5], 127);
  EXPECT_EQ(raw.codes[6], 0);
  EXPECT_NEAR(raw.norm, 13, 1e-4);
  EXPECT_DOUBLE_EQ(raw.squared_norm, 169 + 0.01f * static_cast<double>(0.01f));
  double error = 0;
  int sum = 0;
  for (size_t i = 0; i < 6; ++i) {
    error += std::pow(query[i] - static_cast<double>(raw.scale) * raw.codes[i], 2);
    sum += raw.codes[i];
  }
  EXPECT_GE(raw.error_norm, std::sqrt(error));
  EXPECT_EQ(raw.code_sum, sum);
}

TEST(QuantiseQuery, NormalisesUnderCosineAndLetsZeroBeZero) {
  const std::vector<float> query = {3e-12f, -4e-12f, 0, 0};
  const QuantisedQuery unit = QuantiseQuery(Metric::kCosine, query.data(), 4);
  EXPECT_NEAR(unit.norm, 1, 1e-6);
  EXPECT_EQ(unit.codes[1], -127);
  const std::vector<float> zero(4);
  const QuantisedQuery none = QuantiseQuery(Metric::kCosine, zero.data(), 4);
  EXPECT_EQ(none.norm, 0);
  EXPECT_EQ(none.error_norm, 0);
  EXPECT_THAT(none.codes, Each(0));
}

TEST(RoundUp, NeverGoesBelow) {
  EXPECT_EQ(RoundUp(0.5), 0.5f);
  const double just_above = 1 + 1e-12;
  EXPECT_GE(RoundUp(just_above), just_above);
  EXPECT_EQ(RoundUp(just_above), std::nextafter(1.0f, 2.0f));
}

}  // namespace
}  // namespace mrl::coarse
