#include "index/tune/recall.h"

#include <numeric>
#include <vector>

#include "gtest/gtest.h"

namespace mrl::tune {
namespace {

const std::vector<Scored> kTruth = {{7, 0.9f}, {3, 0.8f}, {5, 0.7f}, {1, 0.7f}};

TEST(RecallAtK, IsTheShareOfTheTrueTopKFound) {
  EXPECT_DOUBLE_EQ(RecallAtK({{7, 0.9f}, {9, 0.1f}}, kTruth, 2, true), 0.5);
  EXPECT_DOUBLE_EQ(RecallAtK({{3, 0.8f}, {7, 0.9f}}, kTruth, 2, true), 1.0);
  EXPECT_DOUBLE_EQ(RecallAtK({}, kTruth, 2, true), 0.0);
}

TEST(RecallAtK, CountsARowThatTiesWithTheKthTrueScore) {
  EXPECT_DOUBLE_EQ(RecallAtK({{7, 0.9f}, {3, 0.8f}, {1, 0.7f}}, kTruth, 3, true), 1.0);
  EXPECT_DOUBLE_EQ(RecallAtK({{7, 0.9f}, {3, 0.8f}, {8, 0.6999999f}}, kTruth, 3, true), 1.0);
  EXPECT_DOUBLE_EQ(RecallAtK({{7, 0.9f}, {3, 0.8f}, {8, 0.69999f}}, kTruth, 3, true), 2.0 / 3);
}

TEST(RecallAtK, TiesFromAboveForDistances) {
  const std::vector<Scored> truth = {{1, 1.0f}, {2, 2.0f}};
  EXPECT_DOUBLE_EQ(RecallAtK({{1, 1.0f}, {4, 2.0f}}, truth, 2, false), 1.0);
  EXPECT_DOUBLE_EQ(RecallAtK({{1, 1.0f}, {4, 2.001f}}, truth, 2, false), 0.5);
}

TEST(RecallAtK, CutsKToTheTruthAndIgnoresWhatComesAfterK) {
  EXPECT_DOUBLE_EQ(RecallAtK({{7, 0.9f}, {3, 0.8f}, {5, 0.7f}, {1, 0.7f}}, kTruth, 10, true), 1.0);
  EXPECT_DOUBLE_EQ(RecallAtK({{9, 0.1f}, {7, 0.9f}}, kTruth, 1, true), 0.0);
  EXPECT_DOUBLE_EQ(RecallAtK({{7, 0.9f}}, {}, 3, true), 0.0);
}

TEST(RecallAtK, ComparesIdsWhereThereAreNoScores) {
  const std::vector<int64_t> truth = {4, 2, 9, -1};
  EXPECT_DOUBLE_EQ(RecallAtK(std::vector<uint64_t>{2, 4}, truth, 2), 1.0);
  EXPECT_DOUBLE_EQ(RecallAtK(std::vector<uint64_t>{9, 4}, truth, 2), 0.5);
  EXPECT_DOUBLE_EQ(RecallAtK(std::vector<uint64_t>{4, 4, 4}, truth, 3), 1.0 / 3);
  EXPECT_DOUBLE_EQ(RecallAtK(std::vector<uint64_t>{4, 2, 9, ~uint64_t{0}}, truth, 4), 0.75);
}

TEST(Summarise, TakesQuantilesByNearestRank) {
  std::vector<double> millis(100);
  std::iota(millis.rbegin(), millis.rend(), 1.0);
  const Latencies latencies = Summarise(millis);
  EXPECT_DOUBLE_EQ(latencies.mean_ms, 50.5);
  EXPECT_DOUBLE_EQ(latencies.p50_ms, 50);
  EXPECT_DOUBLE_EQ(latencies.p95_ms, 95);
  EXPECT_DOUBLE_EQ(latencies.p99_ms, 99);
}

TEST(Summarise, GivesTheOnlyValueForEveryQuantileAndZerosForNone) {
  std::vector<double> one = {3.5};
  EXPECT_DOUBLE_EQ(Summarise(one).p99_ms, 3.5);
  std::vector<double> none;
  EXPECT_DOUBLE_EQ(Summarise(none).p50_ms, 0);
}

}  // namespace
}  // namespace mrl::tune
