#include "index/tune/tuner.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <limits>

#include "index/tune/chains.h"
#include "index/tune/measure.h"
#include "tests/unit/tune/fake_engine.h"

namespace mrl::tune {
namespace {

using ::testing::HasSubstr;

funnel::Plan PlanOf(const std::string& text, uint32_t k = 10) {
  funnel::PlanInput input;
  input.schema = &FakeEngine::schema();
  input.kinds = {"scan"};
  input.query_dims = FakeEngine::schema().dim;
  input.k = k;
  input.funnel = funnel::ParseFunnel(text).value();
  return funnel::MakePlan(input).value();
}

// The lowest time of any funnel of a coarse, a middle and the final stage whose lower end reaches
// the target on these queries.
double CheapestByTrying(const FakeEngine& engine, const Subject& subject,
                        const std::vector<size_t>& queries, double target) {
  double best = std::numeric_limits<double>::infinity();
  const auto offer = [&](const std::string& text) {
    const funnel::Plan plan = PlanOf(text);
    if (engine.Millis(plan) >= best) return;
    const auto recalls = MeasureRecalls(subject, plan, queries, 10, 1).value();
    if (MeanInterval(recalls, {.unit = 0.1}).low >= target) best = engine.Millis(plan);
  };
  const std::vector<uint32_t> grid = KeepGrid(10, 400);
  for (const std::string coarse : {"8b8", "16b8", "32b8"}) {
    for (const uint32_t keep : grid) {
      const std::string first = coarse + ":" + std::to_string(keep);
      offer(first + ",64:10");
      for (const uint32_t less : grid) {
        if (less < keep) offer(first + ",32:" + std::to_string(less) + ",64:10");
      }
    }
  }
  return best;
}

TEST(Tune, ChoosesAsCheaplyAsTryingAllFunnels) {
  const FakeEngine engine({});
  const Subject subject = engine.MakeSubject();
  for (const double target : {0.8, 0.95}) {
    const auto result = Tune(subject, {.target_recall = target}, {});
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_TRUE(result->reached);
    EXPECT_GE(result->tuning.interval.low, target);
    const double best = CheapestByTrying(engine, subject, result->tuning_queries, target);
    EXPECT_LE(engine.Millis(result->tuning.plan), best * 1.05) << result->tuning.plan.ToText();
    EXPECT_GT(result->held_out.recall, target - 0.04);
    EXPECT_NEAR(result->held_out.qps(), 1000 / engine.Millis(result->tuning.plan), 1e-6);
  }
}

TEST(Tune, SplitsTheQueriesWithoutOverlap) {
  const FakeEngine engine({.queries = 31});
  const auto result = Tune(engine.MakeSubject(), {.target_recall = 0.5}, {});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->tuning_queries.size(), 16u);
  EXPECT_EQ(result->held_out_queries.size(), 15u);
  std::vector<size_t> all = result->tuning_queries;
  all.insert(all.end(), result->held_out_queries.begin(), result->held_out_queries.end());
  std::sort(all.begin(), all.end());
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], i);
  EXPECT_EQ(result->held_out.recalls.size(), 15u);
}

TEST(Tune, TheFrontGetsSlowerAsRecallGrows) {
  const FakeEngine engine({});
  const auto result = Tune(engine.MakeSubject(), {.target_recall = 0.9}, {});
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_GT(result->front.size(), 3u);
  for (size_t i = 1; i < result->front.size(); ++i) {
    EXPECT_GT(result->front[i].recall, result->front[i - 1].recall);
    EXPECT_GE(result->front[i].times.mean_ms, result->front[i - 1].times.mean_ms);
  }
  EXPECT_GE(result->tried, result->front.size());
}

TEST(Tune, UnderALatencyTakesTheBestRecall) {
  const FakeEngine engine({});
  const Subject subject = engine.MakeSubject();
  const auto result = Tune(subject, {.target_p99_ms = 0.04}, {});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->reached);
  EXPECT_LE(result->tuning.times.p99_ms, 0.04);
  for (const Measured& point : result->front) {
    if (point.times.p99_ms > 0.04) continue;
    EXPECT_LE(point.recall, result->tuning.recall);
  }
  const auto none = Tune(subject, {.target_p99_ms = 1e-9}, {});
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_FALSE(none->reached);
}

TEST(Tune, WorksForOneNeighbourAndForMoreThanThereAreRows) {
  const FakeEngine one({.rows = 500, .queries = 60, .k = 1});
  const auto nearest = Tune(one.MakeSubject(), {.target_recall = 0.8, .k = 1}, {});
  ASSERT_TRUE(nearest.ok()) << nearest.status();
  EXPECT_TRUE(nearest->reached);
  EXPECT_EQ(nearest->tuning.plan.stages.back().keep, 1u);

  const FakeEngine few({.rows = 7, .queries = 60, .k = 1000});
  const auto all = Tune(few.MakeSubject(), {.target_recall = 0.95, .k = 1000}, {});
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_TRUE(all->reached);
  EXPECT_EQ(all->held_out.recall, 1);

  const FakeEngine many({.rows = 3000, .queries = 20, .k = 1000});
  const auto thousand = Tune(many.MakeSubject(), {.target_recall = 0.9, .k = 1000}, {});
  ASSERT_TRUE(thousand.ok()) << thousand.status();
  EXPECT_TRUE(thousand->reached);
  EXPECT_GE(thousand->held_out.recall, 0.88);
}

TEST(Tune, DuplicatesCountAsHitsOfEachOther) {
  const FakeEngine engine({.queries = 60, .k = 5, .duplicates = true});
  const auto result = Tune(engine.MakeSubject(), {.target_recall = 0.9, .k = 5}, {});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->reached);
  EXPECT_GE(result->held_out.recall, 0.85);
}

TEST(Tune, SaysWhenTooFewQueriesProveATarget) {
  const FakeEngine engine({.rows = 300, .queries = 4});
  const auto result = Tune(engine.MakeSubject(), {.target_recall = 1}, {});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_FALSE(result->reached);
  EXPECT_EQ(result->tuning.recall, 1);
}

TEST(Tune, RefusesWhatItCannotTune) {
  const FakeEngine engine({.rows = 50, .queries = 1});
  const Subject subject = engine.MakeSubject();
  const auto message = [&](const TuneOptions& options) {
    const auto result = Tune(subject, options, {});
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(result.status().message());
  };
  EXPECT_THAT(message({}), HasSubstr("there are 1 queries; tuning needs 2"));
  EXPECT_THAT(message({.target_recall = 1.5}), HasSubstr("target recall is 1.5"));
  EXPECT_THAT(message({.target_recall = 0}), HasSubstr("above 0 to 1"));
  EXPECT_THAT(message({.target_p99_ms = -1}), HasSubstr("-1 ms; it cannot be negative"));
  EXPECT_THAT(message({.k = 0}), HasSubstr("k is 0; it goes from 1 to 10000"));
}

TEST(Tune, PassesOnThatTheSearchWasStopped) {
  const FakeEngine engine({.rows = 100, .queries = 10});
  Subject subject = engine.MakeSubject();
  std::atomic<int> left{25};
  const SearchFn search = subject.search;
  subject.search = [&](const funnel::Plan& plan, size_t query) -> absl::StatusOr<Answer> {
    if (left-- <= 0) return absl::CancelledError("the search was stopped");
    return search(plan, query);
  };
  EXPECT_EQ(Tune(subject, {.threads = 2}, {}).status(),
            absl::CancelledError("the search was stopped"));
}

TEST(LossPerStage, AndRecallAddUpToOne) {
  const FakeEngine engine({.queries = 50});
  const Subject subject = engine.MakeSubject();
  const funnel::Plan plan = PlanOf("8b8:20,16:12,64:10");
  std::vector<size_t> queries(50);
  for (size_t i = 0; i < queries.size(); ++i) queries[i] = i;
  const auto recalls = MeasureRecalls(subject, plan, queries, 10, 2).value();
  const auto lost = LossPerStage(subject, engine.LostAt(), plan, queries, recalls, 10, 2).value();
  ASSERT_EQ(lost.size(), 3u);
  EXPECT_GT(lost[0], 0.01);
  EXPECT_GT(lost[1], 0.01);
  EXPECT_EQ(lost[2], 0);
  EXPECT_NEAR(lost[0] + lost[1] + lost[2] + Mean(recalls), 1, 1e-9);
}

}  // namespace
}  // namespace mrl::tune
