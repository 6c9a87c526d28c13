#include "bench/load/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

namespace mrl::load {
namespace {

TEST(Histogram, SmallValuesAreExact) {
  Histogram histogram;
  for (uint64_t value = 0; value < 2048; ++value) histogram.Add(value);
  for (const uint64_t value : {0, 1, 511, 1023, 1024, 2047}) {
    EXPECT_EQ(histogram.Quantile(static_cast<double>(value + 1) / 2048), value);
  }
}

TEST(Histogram, QuantilesKeepThreeDigits) {
  std::mt19937_64 random(3);
  std::vector<uint64_t> values;
  Histogram histogram;
  for (int i = 0; i < 100'000; ++i) {
    values.push_back(uint64_t{1} << (random() % 39));
    values.back() += random() % values.back();
    histogram.Add(values.back());
  }
  std::sort(values.begin(), values.end());
  for (const double q : {0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const auto exact = static_cast<double>(values[static_cast<size_t>(q * 100'000) - 1]);
    const auto got = static_cast<double>(histogram.Quantile(q));
    EXPECT_GE(got, exact) << q;
    EXPECT_LE(got, exact * (1 + 1.0 / 1024)) << q;
  }
  EXPECT_EQ(histogram.max(), values.back());
}

TEST(Histogram, TooLargeValuesCountAsTheLargest) {
  Histogram histogram;
  histogram.Add(~uint64_t{0});
  EXPECT_EQ(histogram.Quantile(0.5), (uint64_t{1} << 40) - 1);
}

TEST(Histogram, AddsUp) {
  Histogram a, b;
  a.Add(10);
  b.Add(30);
  a.Add(b);
  EXPECT_EQ(a.count(), 2u);
  EXPECT_EQ(a.mean(), 20);
  EXPECT_EQ(a.Quantile(0.5), 10u);
  EXPECT_EQ(a.Quantile(1), 30u);
}

TEST(Histogram, AnEmptyOneIsZero) {
  EXPECT_EQ(Histogram().Quantile(0.5), 0u);
  EXPECT_EQ(Histogram().mean(), 0);
}

}  // namespace
}  // namespace mrl::load
