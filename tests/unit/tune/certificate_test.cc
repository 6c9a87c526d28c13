#include "index/tune/certificate.h"

#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/tune/fake_engine.h"

namespace mrl::tune {
namespace {

using ::testing::HasSubstr;

// Samples without replacement from a collection whose queries differ in difficulty: the share of
// intervals that hold the mean of all.
double Coverage(size_t sample, uint32_t k, double mean, size_t samples) {
  std::mt19937_64 engine(5);
  std::gamma_distribution<double> hits(mean * 8);
  std::gamma_distribution<double> misses((1 - mean) * 8);
  std::vector<double> all(20'000);
  for (double& recall : all) {
    const double hit = hits(engine);
    std::binomial_distribution<uint32_t> found(k, hit / (hit + misses(engine)));
    recall = found(engine) / static_cast<double>(k);
  }
  const double truth = Mean(all);
  size_t covered = 0;
  for (size_t i = 0; i < samples; ++i) {
    for (size_t j = 0; j < sample; ++j) std::swap(all[j], all[j + engine() % (all.size() - j)]);
    const Interval interval = RecallInterval(absl::MakeConstSpan(all).first(sample), k, i);
    if (interval.low <= truth && truth <= interval.high) ++covered;
  }
  return static_cast<double>(covered) / static_cast<double>(samples);
}

TEST(RecallInterval, CoversTheTrueRecallAsOftenAsItSays) {
  EXPECT_GE(Coverage(200, 10, 0.95, 400), 0.92);
  EXPECT_GE(Coverage(200, 1, 0.95, 400), 0.92);
  EXPECT_GE(Coverage(100, 100, 0.9, 400), 0.92);
  // Not so wide that it says nothing.
  EXPECT_LE(Coverage(200, 10, 0.95, 400), 0.98);
}

TEST(RecallInterval, OfFewQueriesIsCareful) {
  EXPECT_GE(Coverage(10, 10, 0.9, 400), 0.93);
  const std::vector<double> one = {1.0};
  EXPECT_NEAR(RecallInterval(one, 10, 1).low, 0.025, 1e-9);
  EXPECT_EQ(RecallInterval(one, 10, 1).high, 1);
}

class Certifying : public ::testing::Test {
 protected:
  static absl::StatusOr<funnel::Certificate> Measure(const FakeEngine& engine, uint32_t k,
                                                     const std::string& text, uint64_t seed = 1) {
    const Subject subject = engine.MakeSubject();
    funnel::PlanInput input = subject.plan;
    input.k = k;
    input.funnel = *funnel::ParseFunnel(text);
    const auto plan = funnel::MakePlan(input);
    if (!plan.ok()) return plan.status();
    return Certify(subject, engine.LostAt(), *plan, 2, seed, {});
  }
  static std::string Final(uint32_t k) {
    return std::to_string(FakeEngine::schema().dim) + ":" + std::to_string(k);
  }
};

TEST_F(Certifying, AddsUpToOneAndIsTheSameForASeed) {
  const FakeEngine engine({.queries = 60});
  const std::string text = std::to_string(FakeEngine::schema().ladder.front()) + ":12," + Final(10);
  const auto first = Measure(engine, 10, text);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_TRUE(first->Validate().ok()) << first->Validate();
  EXPECT_LT(first->recall, 1);
  EXPECT_LT(first->low, first->recall);
  EXPECT_GT(first->lost[0], 0);
  EXPECT_NEAR(first->recall + std::accumulate(first->lost.begin(), first->lost.end(), 0.0), 1,
              1e-9);
  EXPECT_EQ(first->queries, 60u);
  EXPECT_EQ(*Measure(engine, 10, text), *first);
  EXPECT_NE(Measure(engine, 10, text, 2)->low, first->low);
}

TEST_F(Certifying, ExactSearchIsPerfectWithDuplicatesFewPointsAndOneQuery) {
  for (const uint32_t k : {1U, 10U, 1000U}) {
    for (const uint64_t rows : {uint64_t{3}, uint64_t{800}}) {
      const FakeEngine engine({.rows = rows, .queries = 5, .k = k, .duplicates = rows > 3});
      const auto certificate = Measure(engine, k, Final(k));
      ASSERT_TRUE(certificate.ok()) << certificate.status();
      EXPECT_EQ(certificate->recall, 1) << k << " of " << rows;
      EXPECT_LT(certificate->low, 1);
      EXPECT_TRUE(certificate->Validate().ok());
    }
  }
  const FakeEngine one({.queries = 1});
  EXPECT_EQ(Measure(one, 10, Final(10))->queries, 1u);
  Subject nobody = one.MakeSubject();
  nobody.truth.clear();
  const auto refused = Certify(nobody, one.LostAt(), {}, 1, 1, {});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("no queries"));
}

}  // namespace
}  // namespace mrl::tune
