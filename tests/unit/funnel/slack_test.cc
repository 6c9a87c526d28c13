// Plan::slacks: what adaptive keep leaves out behind the cut of a stage.
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/funnel/cut.h"
#include "index/funnel/run.h"
#include "index/funnel/stepped.h"
#include "tests/unit/coarse/sample.h"
#include "tests/unit/funnel/plan_for.h"

namespace mrl::funnel {
namespace {

using test::Sample;
using ::testing::ElementsAre;

constexpr float kAllGoOn = std::numeric_limits<float>::infinity();

std::vector<Shortlisted> WithKeys(const std::vector<float>& keys) {
  std::vector<Shortlisted> candidates;
  for (const float key : keys) candidates.push_back({.at = {}, .key = key});
  return candidates;
}

std::vector<float> KeysLeft(std::vector<float> keys, size_t k, double distance) {
  std::vector<Shortlisted> candidates = WithKeys(keys);
  const size_t left_out = LeaveOutBehind(candidates, k, distance);
  EXPECT_EQ(left_out + candidates.size(), keys.size());
  keys.clear();
  for (const Shortlisted& candidate : candidates) keys.push_back(candidate.key);
  return keys;
}

TEST(LeaveOutBehind, KeepsWhatIsWithinTheDistanceOfTheKth) {
  EXPECT_THAT(KeysLeft({5, 1, 4, 2, 3}, 2, 2), ElementsAre(5, 4, 2, 3));
  EXPECT_THAT(KeysLeft({5, 1, 4, 2, 3}, 2, 1.5), ElementsAre(5, 4, 3));
}

TEST(LeaveOutBehind, KeepsTheTiesOfTheKthAndNoMoreWithoutSlack) {
  EXPECT_THAT(KeysLeft({3, 1, 3, 2, 3, 4}, 2, 0), ElementsAre(3, 3, 3, 4));
}

TEST(LeaveOutBehind, NeverTakesFromTheBestK) {
  EXPECT_THAT(KeysLeft({5, 1, 3}, 3, 0), ElementsAre(5, 1, 3));
  EXPECT_THAT(KeysLeft({5, 1}, 3, 0), ElementsAre(5, 1));
  EXPECT_THAT(KeysLeft({}, 3, 0), ElementsAre());
}

TEST(SlackUnit, IsTheNormWhereScoresGrowWithTheQuery) {
  const std::vector<float> query = {3, 4};
  EXPECT_EQ(SlackUnit(Metric::kInnerProduct, query), 5);
  EXPECT_EQ(SlackUnit(Metric::kCosine, query), 1);
  EXPECT_EQ(SlackUnit(Metric::kL2, query), 1);
}

class Slack : public ::testing::TestWithParam<Metric> {
 protected:
  Slack() : sample_({.rows = 800, .metric = GetParam()}) {
    view_ = {.schema = sample_.schema,
             .parts = {{.segment = sample_.segment, .indexes = {sample_.scan}}}};
    plan_ = test::PlanFor(view_, "8:100,16:40,48:5", 5);
  }
  Plan WithSlacks(std::vector<float> slacks) const {
    Plan plan = plan_;
    plan.slacks = std::move(slacks);
    return plan;
  }
  Output Search(const Plan& plan, const std::vector<float>& query) const {
    const auto output = funnel::Run(view_, plan, query, {});
    EXPECT_TRUE(output.ok()) << output.status();
    return output.ok() ? *output : Output();
  }
  // What the first stage keeps of the plain plan, best first.
  std::vector<float> FirstScores(const std::vector<float>& query) const {
    std::vector<float> scores;
    SteppedOptions stepped;
    stepped.watched = 100;
    stepped.after = [&](size_t, const StageTrace&, absl::Span<const Hit> best) {
      for (const Hit& hit : best) scores.push_back(hit.score);
      return Next::kEnd;
    };
    EXPECT_TRUE(RunStepped(view_, plan_, query, {}, stepped).ok());
    return scores;
  }
  // A slack that splits what the first stage keeps in the middle.
  float MiddleSlack(const std::vector<float>& query) const {
    const std::vector<float> scores = FirstScores(query);
    const double unit = SlackUnit(GetParam(), query);
    return static_cast<float>(std::abs((scores[49] + scores[50]) / 2.0 - scores[4]) / unit);
  }

  const Sample sample_;
  View view_;
  Plan plan_;
};
INSTANTIATE_TEST_SUITE_P(Metrics, Slack,
                         ::testing::Values(Metric::kCosine, Metric::kInnerProduct, Metric::kL2),
                         [](const auto& metric) { return std::string(ToString(metric.param)); });

void ExpectSame(const Output& a, const Output& b) {
  ASSERT_EQ(a.hits.size(), b.hits.size());
  for (size_t i = 0; i < a.hits.size(); ++i) {
    EXPECT_EQ(a.hits[i].at, b.hits[i].at) << i;
    EXPECT_EQ(a.hits[i].score, b.hits[i].score) << i;
  }
  EXPECT_EQ(a.trace.multiply_adds, b.trace.multiply_adds);
  for (size_t i = 0; i < a.trace.stages.size(); ++i) {
    EXPECT_EQ(a.trace.stages[i].candidates_out, b.trace.stages[i].candidates_out) << i;
    EXPECT_EQ(a.trace.stages[i].left_out, b.trace.stages[i].left_out) << i;
    EXPECT_EQ(a.trace.stages[i].score_cut, b.trace.stages[i].score_cut) << i;
  }
}

TEST_P(Slack, LeavesOutWhatIsFurtherBehindAndSaysSo) {
  const std::vector<float> query = sample_.QueryNear(41, 1);
  const Output output = Search(WithSlacks({MiddleSlack(query)}), query);
  const std::vector<StageTrace>& stages = output.trace.stages;
  EXPECT_EQ(stages[0].candidates_out, 50u);
  EXPECT_EQ(stages[0].left_out, 50u);
  EXPECT_EQ(stages[0].score_cut, FirstScores(query)[49]);
  EXPECT_EQ(stages[1].candidates_in, 50u);
  EXPECT_EQ(stages[1].candidates_out, 40u);
  EXPECT_EQ(stages[1].left_out, 0u);
  EXPECT_EQ(stages[2].left_out, 0u);
  EXPECT_EQ(output.hits.size(), 5u);
}

TEST_P(Slack, OfNothingTakesTheBestKOn) {
  const std::vector<float> query = sample_.QueryNear(41, 1);
  const std::vector<StageTrace> stages = Search(WithSlacks({0, 0}), query).trace.stages;
  EXPECT_EQ(stages[0].candidates_out, 5u);
  EXPECT_EQ(stages[0].left_out, 95u);
  EXPECT_EQ(stages[1].candidates_out, 5u);
  EXPECT_EQ(stages[1].left_out, 0u);
  EXPECT_EQ(stages[2].candidates_out, 5u);
}

TEST_P(Slack, WithoutALimitIsThePlainFunnel) {
  const std::vector<float> query = sample_.QueryNear(41, 1);
  const Output plain = Search(plan_, query);
  ExpectSame(Search(WithSlacks({kAllGoOn, kAllGoOn}), query), plain);
  ExpectSame(Search(WithSlacks({1e9F, 1e9F}), query), plain);
  EXPECT_EQ(plain.trace.stages[0].left_out, 0u);
  EXPECT_EQ(WithSlacks({0, 0}).ToText(), plan_.ToText());
}

TEST_P(Slack, IsTheSameInATile) {
  const Plan plan = WithSlacks({MiddleSlack(sample_.QueryNear(41, 1)), 0.01F});
  std::vector<std::vector<float>> vectors;
  std::vector<TileQuery> tile;
  for (uint32_t i = 0; i < 8; ++i) vectors.push_back(sample_.QueryNear(i * 90, i));
  for (const std::vector<float>& vector : vectors) tile.push_back({vector, {}});
  const auto outputs = RunTile(view_, plan, tile);
  for (size_t i = 0; i < tile.size(); ++i) {
    ASSERT_TRUE(outputs[i].ok()) << outputs[i].status();
    ExpectSame(*outputs[i], Search(plan, vectors[i]));
  }
}

TEST_P(Slack, DoesNotDependOnTheLengthOfAQueryThatOnlyPoints) {
  if (GetParam() == Metric::kL2) return;  // there a longer query is another place
  std::vector<float> query = sample_.QueryNear(41, 1);
  const Plan plan = WithSlacks({MiddleSlack(query), MiddleSlack(query)});
  const Output output = Search(plan, query);
  for (float& value : query) value *= 10;
  const Output longer = Search(plan, query);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(longer.trace.stages[i].left_out, output.trace.stages[i].left_out) << i;
  }
  EXPECT_EQ(output.trace.stages[0].left_out, 50u);
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(longer.hits[i].at, output.hits[i].at) << i;
}

TEST_P(Slack, TellsWhyNotWhereItLeftAPointOut) {
  const std::vector<float> query = sample_.QueryNear(41, 1);
  Location at;  // of rank 60 at the first stage
  SteppedOptions stepped;
  stepped.watched = 100;
  stepped.after = [&at](size_t, const StageTrace&, absl::Span<const Hit> best) {
    at = best[60].at;
    return Next::kEnd;
  };
  ASSERT_TRUE(RunStepped(view_, plan_, query, {}, stepped).ok());
  const std::vector<PointId> ids = {sample_.IdOf(at.row)};
  RunOptions options;
  options.why_not = ids;
  const auto output = funnel::Run(view_, WithSlacks({MiddleSlack(query)}), query, options);
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(output->trace.why_not[0].lost_at, 0);
  EXPECT_EQ(output->trace.why_not[0].stages[0].rank, -1);
}

}  // namespace
}  // namespace mrl::funnel
