#include "index/tune/interval.h"

#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace mrl::tune {
namespace {

// Queries whose own recall varies (a beta distribution around `mean`), each the share of 10
// neighbours found: shares of intervals that hold the true mean.
double Coverage(double mean, size_t queries, size_t data_sets) {
  constexpr double kConcentration = 10;
  std::mt19937_64 engine(11);
  std::gamma_distribution<double> hits(mean * kConcentration);
  std::gamma_distribution<double> misses((1 - mean) * kConcentration);
  size_t covered = 0;
  for (size_t set = 0; set < data_sets; ++set) {
    std::vector<double> recalls(queries);
    for (double& recall : recalls) {
      const double hit = hits(engine);
      const double chance = hit / (hit + misses(engine));
      recall = std::binomial_distribution<int>(10, chance)(engine) / 10.0;
    }
    const Interval interval = MeanInterval(recalls, {.resamples = 300, .seed = set, .unit = 0.1});
    if (interval.low <= mean && mean <= interval.high) ++covered;
  }
  return static_cast<double>(covered) / static_cast<double>(data_sets);
}

TEST(MeanInterval, HoldsTheTrueMeanInAsManySamplesAsItSays) {
  for (const double mean : {0.9, 0.95}) {
    const double coverage = Coverage(mean, 200, 1000);
    EXPECT_GE(coverage, 0.93) << mean;
    EXPECT_LE(coverage, 0.97) << mean;
  }
}

TEST(MeanInterval, ForPerfectBinaryQueriesIsTheExactBinomialBound) {
  const std::vector<double> perfect(100, 1.0);
  const Interval interval = MeanInterval(perfect, {});
  EXPECT_NEAR(interval.low, std::pow(0.025, 1.0 / 100), 1e-9);
  EXPECT_EQ(interval.high, 1);
  // With 10 neighbours a hidden failure loses one of them.
  EXPECT_NEAR(MeanInterval(perfect, {.unit = 0.1}).low, 1 - (1 - interval.low) / 10, 1e-9);
}

TEST(MeanInterval, NarrowsWithQueriesAndWidensWithConfidence) {
  std::vector<double> few;
  for (int i = 0; i < 50; ++i) few.push_back(i % 5 == 0 ? 0.5 : 1.0);
  std::vector<double> many;
  for (int i = 0; i < 20; ++i) many.insert(many.end(), few.begin(), few.end());
  const auto width = [](const Interval& interval) { return interval.high - interval.low; };
  EXPECT_LT(width(MeanInterval(many, {})), width(MeanInterval(few, {})) / 3);
  EXPECT_GT(width(MeanInterval(few, {.confidence = 0.99})), width(MeanInterval(few, {})));
  EXPECT_LT(MeanInterval(few, {}).low, Mean(few));
  EXPECT_GT(MeanInterval(few, {}).high, Mean(few));
}

TEST(MeanInterval, IsTheSameForTheSameSeed) {
  const std::vector<double> values = {0.1, 0.9, 0.4, 0.8, 1.0, 0.3, 0.7};
  EXPECT_EQ(MeanInterval(values, {.seed = 5}).low, MeanInterval(values, {.seed = 5}).low);
  EXPECT_NE(MeanInterval(values, {.seed = 5}).low, MeanInterval(values, {.seed = 6}).low);
}

TEST(MeanInterval, KnowsNothingOfNoQueriesAndLittleOfOne) {
  EXPECT_EQ(MeanInterval({}, {}).low, 0);
  EXPECT_EQ(MeanInterval({}, {}).high, 1);
  EXPECT_NEAR(MeanInterval({1.0}, {}).low, 0.025, 1e-9);
}

}  // namespace
}  // namespace mrl::tune
