#include "index/tune/early_exit.h"

#include <cmath>
#include <limits>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/coarse/sample.h"

namespace mrl::tune {
namespace {

using test::Sample;

constexpr double kNever = std::numeric_limits<double>::infinity();

// A stage at which 100 queries keep all where their margin is at least 0.5, and nothing below. Half
// of the margins are even queries', which choose.
Tried Hundred() {
  Tried tried;
  tried.stages.resize(1);
  for (int i = 0; i < 100; ++i) {
    const double margin = i / 100.0;
    tried.stages[0].push_back({.margin = margin, .kept = margin >= 0.5 ? 1.0 : 0.0});
  }
  return tried;
}

TEST(LearnExits, FindsTheLeastMarginThatKeepsEnough) {
  const ExitRule sure = LearnExits(Hundred(), 1);
  ASSERT_EQ(sure.stages.size(), 1u);
  EXPECT_DOUBLE_EQ(sure.stages[0].margin, 0.5);
  EXPECT_DOUBLE_EQ(*sure.stages[0].kept, 1);
  // Some of those below 0.5 may go too; the queries that did not choose say what that keeps.
  const ExitRule hasty = LearnExits(Hundred(), 0.8);
  EXPECT_LT(hasty.stages[0].margin, 0.5);
  EXPECT_GT(*hasty.stages[0].kept, 0.8);
  EXPECT_LT(*hasty.stages[0].kept, 1);
}

TEST(LearnExits, HasNoneWhereNoMarginIsEnoughOrQueriesAreFew) {
  Tried hopeless = Hundred();
  for (Tried::Step& step : hopeless.stages[0]) step.kept = 0.5;
  EXPECT_EQ(LearnExits(hopeless, 0.6).stages[0].margin, kNever);
  EXPECT_FALSE(LearnExits(hopeless, 0.6).stages[0].kept.has_value());
  Tried few = Hundred();
  few.stages[0].resize(2 * ExitRule::kQueriesMin - 2);
  for (Tried::Step& step : few.stages[0]) step.kept = 1;
  EXPECT_EQ(LearnExits(few, 0.5).stages[0].margin, kNever);
}

class Exits : public ::testing::Test {
 protected:
  Exits() : sample_({.rows = 600}) {
    view_ = {.schema = sample_.schema,
             .parts = {{.segment = sample_.segment, .indexes = {sample_.scan}}}};
    funnel::PlanInput input;
    input.schema = &view_.schema;
    input.kinds = {"scan"};
    input.k = 1;
    input.query_dims = view_.schema.dim;
    input.funnel = *funnel::ParseFunnel("8:100,16:40,48:1");
    plan_ = *funnel::MakePlan(input);
  }

  const Sample sample_;
  funnel::View view_;
  funnel::Plan plan_;
};

TEST_F(Exits, AreTriedAgainstTheWholeFunnel) {
  const ViewQueries queries = *SampleQueries(view_, 50, 1);
  const auto tried = TryExits(view_, plan_, queries, 2, {});
  ASSERT_TRUE(tried.ok()) << tried.status();
  ASSERT_EQ(tried->stages.size(), 2u);
  ASSERT_EQ(tried->stages[0].size(), 50u);
  for (size_t stage = 0; stage < 2; ++stage) {
    funnel::Plan shorter = plan_;
    shorter.stages.resize(stage + 1);
    shorter.stages.back().keep = 1;
    for (size_t i = 0; i < 50; ++i) {
      funnel::RunOptions options;
      options.leave_out = queries.own[i];
      const auto early = funnel::Run(view_, shorter, queries.row(i), options);
      const auto whole = funnel::Run(view_, plan_, queries.row(i), options);
      ASSERT_TRUE(early.ok() && whole.ok());
      const bool same = early->hits[0].at == whole->hits[0].at;
      EXPECT_EQ(tried->stages[stage][i].kept, same ? 1 : 0) << stage << " " << i;
      EXPECT_GE(tried->stages[stage][i].margin, 0);
    }
  }
}

TEST_F(Exits, RunsTheLastStageOnTheBestOfTheStageThatStandsOut) {
  const ViewQueries queries = *SampleQueries(view_, 20, 2);
  ExitRule rule;
  rule.stages = {{.margin = kNever, .kept = {}}, {.margin = 0, .kept = 0.9}};
  const ExitRule never = {
      .stages = {{.margin = kNever, .kept = {}}, {.margin = kNever, .kept = {}}}};
  for (size_t i = 0; i < 20; ++i) {
    const auto early = RunWithExits(view_, plan_, queries.row(i), {}, rule);
    ASSERT_TRUE(early.ok()) << early.status();
    EXPECT_EQ(early->stages, 2u);
    EXPECT_EQ(early->kept, 0.9);
    EXPECT_EQ(early->output.trace.stages.back().candidates_in, 1u);
    const auto whole = RunWithExits(view_, plan_, queries.row(i), {}, never);
    ASSERT_TRUE(whole.ok()) << whole.status();
    EXPECT_EQ(whole->stages, 0u);
    EXPECT_FALSE(whole->kept.has_value());
    EXPECT_EQ(whole->output.trace.stages.back().candidates_in, 40u);
  }
}

TEST_F(Exits, NeedPoints) {
  EXPECT_EQ(TryExits(view_, plan_, {}, 1, {}).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace mrl::tune
