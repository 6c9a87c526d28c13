#include "index/tune/adaptive_keep.h"

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/coarse/sample.h"

namespace mrl::tune {
namespace {

using test::Sample;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr float kAllGoOn = std::numeric_limits<float>::infinity();

float Hundredths(int count) { return static_cast<float>(count) / 100.0F; }

// 100 queries with ten hits each: nine of query i were among the best k of the one stage, the tenth
// was i / 100 behind. The even ones choose.
Deficits Hundred() {
  Deficits deficits;
  for (int i = 0; i < 100; ++i) {
    std::vector<float> hits(10);
    hits.back() = Hundredths(i);
    deficits.queries.push_back({hits});
  }
  return deficits;
}

TEST(LearnSlacks, AllOfTheResultTakesTheLargestDeficit) {
  const KeepRule rule = LearnSlacks(Hundred(), 1);
  EXPECT_THAT(rule.slacks, ElementsAre(Hundredths(98)));
  // Of the odd queries the one that is 0.99 behind loses a hit of ten.
  EXPECT_DOUBLE_EQ(*rule.kept, 1 - 0.1 / 50);
}

TEST(LearnSlacks, FindsTheLeastSlackThatKeepsEnough) {
  // Within 0.60 are the tenth hits of 31 of the 50 even queries: the mean share is 0.962, less its
  // error 0.9507. Within 0.58 are 30: 0.96, less its error 0.9486.
  const KeepRule rule = LearnSlacks(Hundred(), 0.95);
  EXPECT_THAT(rule.slacks, ElementsAre(Hundredths(60)));
  EXPECT_NEAR(*rule.kept, 0.96, 1e-9);
}

TEST(LearnSlacks, SplitsWhatMayBeLostAmongTheStages) {
  Deficits deficits = Hundred();
  for (auto& stages : deficits.queries) stages.push_back(std::vector<float>(10));
  const KeepRule rule = LearnSlacks(deficits, 0.9);
  EXPECT_THAT(rule.slacks, ElementsAre(Hundredths(60), 0));
  EXPECT_NEAR(*rule.kept, 0.96, 1e-9);
  // A hit that one stage loses is lost, and is lost once.
  for (auto& stages : deficits.queries) stages[1] = stages[0];
  EXPECT_NEAR(*LearnSlacks(deficits, 0.9).kept, 0.96, 1e-9);
}

TEST(LearnSlacks, LeavesNothingOutWhereQueriesAreFew) {
  Deficits few = Hundred();
  few.queries.resize(2 * KeepRule::kQueriesMin - 2);
  EXPECT_THAT(LearnSlacks(few, 0.5).slacks, ElementsAre(kAllGoOn));
  EXPECT_FALSE(LearnSlacks(few, 0.5).kept.has_value());
  EXPECT_THAT(LearnSlacks({}, 0.5).slacks, IsEmpty());
  EXPECT_FALSE(LearnSlacks({}, 0.5).kept.has_value());
}

class AdaptiveKeep : public ::testing::TestWithParam<Metric> {
 protected:
  AdaptiveKeep() : sample_({.rows = 600, .metric = GetParam()}) {
    view_ = {.schema = sample_.schema,
             .parts = {{.segment = sample_.segment, .indexes = {sample_.scan}}}};
    plan_ = PlanFor("8:100,16:40,48:5");
  }
  funnel::Plan PlanFor(const std::string& text, uint32_t k = 5) const {
    funnel::PlanInput input;
    input.schema = &view_.schema;
    input.kinds = {"scan"};
    input.k = k;
    input.query_dims = view_.schema.dim;
    input.funnel = *funnel::ParseFunnel(text);
    return *funnel::MakePlan(input);
  }
  std::vector<uint64_t> Rows(const funnel::Plan& plan, const ViewQueries& queries, size_t i,
                             uint64_t* left_out = nullptr) const {
    funnel::RunOptions options;
    options.leave_out = queries.own[i];
    const auto output = funnel::Run(view_, plan, queries.row(i), options);
    EXPECT_TRUE(output.ok()) << output.status();
    std::vector<uint64_t> rows;
    for (const funnel::Hit& hit : output->hits) rows.push_back(RowOf(hit.at));
    for (const funnel::StageTrace& stage : output->trace.stages) {
      if (left_out != nullptr) *left_out += stage.left_out;
    }
    return rows;
  }

  const Sample sample_;
  funnel::View view_;
  funnel::Plan plan_;
};
INSTANTIATE_TEST_SUITE_P(Metrics, AdaptiveKeep,
                         ::testing::Values(Metric::kCosine, Metric::kInnerProduct, Metric::kL2),
                         [](const auto& metric) { return std::string(ToString(metric.param)); });

TEST_P(AdaptiveKeep, KeepsTheHitsWhoseDeficitsAreWithinTheSlacks) {
  const ViewQueries queries = *SampleQueries(view_, 100, 1);
  const auto deficits = MeasureDeficits(view_, plan_, queries, 2, {});
  ASSERT_TRUE(deficits.ok()) << deficits.status();
  ASSERT_THAT(deficits->queries, SizeIs(100));
  const KeepRule rule = LearnSlacks(*deficits, 0.9);
  funnel::Plan adaptive = plan_;
  adaptive.slacks = rule.slacks;
  uint64_t left_out = 0;
  for (size_t i = 0; i < 100; ++i) {
    const std::vector<uint64_t> whole = Rows(plan_, queries, i);
    const std::vector<uint64_t> found = Rows(adaptive, queries, i, &left_out);
    const auto& stages = deficits->queries[i];
    ASSERT_THAT(stages, SizeIs(2));
    for (size_t hit = 0; hit < whole.size(); ++hit) {
      if (stages[0][hit] > rule.slacks[0] || stages[1][hit] > rule.slacks[1]) continue;
      EXPECT_THAT(found, ::testing::Contains(whole[hit])) << i;
    }
  }
  EXPECT_GT(left_out, 100u * 20);
}

// Every deficit of the queries that chose is within the slacks: what is just within must not fall
// to rounding.
TEST_P(AdaptiveKeep, OfAllLosesNothingOfTheQueriesThatChose) {
  const ViewQueries queries = *SampleQueries(view_, 100, 1);
  const auto deficits = MeasureDeficits(view_, plan_, queries, 1, {});
  ASSERT_TRUE(deficits.ok()) << deficits.status();
  funnel::Plan adaptive = plan_;
  adaptive.slacks = LearnSlacks(*deficits, 1).slacks;
  uint64_t left_out = 0;
  for (size_t i = 0; i < 100; i += 2) {
    EXPECT_EQ(Rows(adaptive, queries, i, &left_out), Rows(plan_, queries, i)) << i;
  }
  EXPECT_GT(left_out, 0u);
}

TEST_P(AdaptiveKeep, IsLearnedFromThePlainFunnel) {
  const auto rule = LearnKeep(view_, plan_, view_.schema.dim, 0.9, 1, {});
  ASSERT_TRUE(rule.ok()) << rule.status();
  EXPECT_THAT(rule->slacks, SizeIs(2));
  EXPECT_GT(*rule->kept, 0.85);
  funnel::Plan adaptive = plan_;
  adaptive.slacks = {0, 0};
  const auto again = LearnKeep(view_, adaptive, view_.schema.dim, 0.9, 1, {});
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->slacks, rule->slacks);
}

TEST_P(AdaptiveKeep, NeedsAStageToCut) {
  const auto rule = LearnKeep(view_, PlanFor("48:5"), view_.schema.dim, 0.9, 1, {});
  ASSERT_TRUE(rule.ok()) << rule.status();
  EXPECT_THAT(rule->slacks, IsEmpty());
  EXPECT_FALSE(rule->kept.has_value());
}

TEST_P(AdaptiveKeep, LooksAtSomeHitsOfALargeResult) {
  const funnel::Plan plan = PlanFor("8:400,48:250", 250);
  const ViewQueries queries = *SampleQueries(view_, 3, 1);
  const auto deficits = MeasureDeficits(view_, plan, queries, 1, {});
  ASSERT_TRUE(deficits.ok()) << deficits.status();
  for (const auto& stages : deficits->queries) EXPECT_THAT(stages, Each(SizeIs(84)));
}

}  // namespace
}  // namespace mrl::tune
