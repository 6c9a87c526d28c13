#include "index/tune/adaptive.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/tune/fake_engine.h"

namespace mrl::tune {
namespace {

using ::testing::ElementsAre;

TEST(MajorityOf, CountsThoseWhoHaveALabelAndPrefersTheNearer) {
  const std::vector<std::string> labels = {"", "b", "a", "a", "b", ""};
  const Vote vote = MajorityOf(labels);
  EXPECT_EQ(vote.label, "b");
  EXPECT_EQ(vote.share, 0.5);
  const std::vector<std::string> clear = {"b", "a", "a"};
  EXPECT_EQ(MajorityOf(clear).label, "a");
  EXPECT_EQ(MajorityOf({}).label, "");
  EXPECT_EQ(MajorityOf({}).share, 0);
}

TEST(ClimbingFunnel, HasAStageForEachStepThatThePlannerTakes) {
  for (const uint32_t k : {1U, 10U, 1000U}) {
    funnel::PlanInput input;
    input.schema = &FakeEngine::schema();
    input.kinds = {"scan"};
    input.k = k;
    input.query_dims = FakeEngine::schema().dim;
    input.funnel = ClimbingFunnel(*input.schema, input.query_dims, k);
    const auto plan = funnel::MakePlan(input);
    ASSERT_TRUE(plan.ok()) << plan.status();
    EXPECT_EQ(plan->stages.size(), input.schema->ladder.size());
    EXPECT_EQ(plan->stages.back().keep, k);
  }
}

// Ten queries at two prefixes: the first is right where its vote is above 0.65.
Judged Ten() {
  Judged judged;
  judged.dims = {8, 32};
  judged.stages.resize(2);
  for (int i = 0; i < 10; ++i) {
    judged.stages[0].push_back({.share = (i + 1) / 10.0, .right = i >= 6});
    judged.stages[1].push_back({.share = 1, .right = i != 0});
  }
  return judged;
}

TEST(Thresholds, AreTheLeastShareThatKeepsThePromise) {
  EXPECT_THAT(LearnThresholds(Ten(), 1.0), ElementsAre(0.7, 0));
  EXPECT_THAT(LearnThresholds(Ten(), 0.8), ElementsAre(0.6, 0));  // four of five
  EXPECT_THAT(LearnThresholds(Ten(), 0.4), ElementsAre(0.1, 0));
  Judged hopeless = Ten();
  for (Judged::Step& step : hopeless.stages[0]) step.right = false;
  EXPECT_GT(LearnThresholds(hopeless, 0.5)[0], 1);
}

TEST(Thresholds, GiveTheAccuracyAndTheDimensionsOfACascade) {
  const Judged judged = Ten();
  const Cascade sure = RunCascade(judged, LearnThresholds(judged, 1.0));
  EXPECT_DOUBLE_EQ(sure.accuracy, 0.9);  // four at 8 dims, six at 32 of which one is wrong
  EXPECT_DOUBLE_EQ(sure.expected_dims, (4 * 8 + 6 * 32) / 10.0);
  const Cascade hasty = RunCascade(judged, LearnThresholds(judged, 0.4));
  EXPECT_DOUBLE_EQ(hasty.accuracy, 0.4);
  EXPECT_DOUBLE_EQ(hasty.expected_dims, 8);
  EXPECT_DOUBLE_EQ(RightShare(judged, 0, 0.6), 0.8);
  EXPECT_DOUBLE_EQ(RightShare(judged, 0, 2), 0);
}

}  // namespace
}  // namespace mrl::tune
