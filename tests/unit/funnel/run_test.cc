#include "index/funnel/run.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/coarse/level_scorer.h"
#include "tests/unit/coarse/sample.h"
#include "tests/unit/funnel/plan_for.h"

namespace mrl::funnel {
namespace {

using test::PlanFor;
using test::Sample;
using test::SampleOptions;
using ::testing::HasSubstr;
using ::testing::SizeIs;

View ViewOf(const Sample& sample) {
  return {.schema = sample.schema,
          .parts = {{.segment = sample.segment, .indexes = {sample.scan}}}};
}

Output Search(const View& view, const std::string& plan, uint32_t k,
              const std::vector<float>& query, const RunOptions& options = {}) {
  const uint32_t dims = static_cast<uint32_t>(query.size());
  const auto output = funnel::Run(view, PlanFor(view, plan, k, dims), query, options);
  EXPECT_TRUE(output.ok()) << output.status();
  return output.ok() ? *output : Output();
}

void ExpectSame(const Output& a, const Output& b) {
  ASSERT_EQ(a.hits.size(), b.hits.size());
  for (size_t i = 0; i < a.hits.size(); ++i) {
    EXPECT_EQ(a.hits[i].at, b.hits[i].at) << i;
    EXPECT_EQ(a.hits[i].score, b.hits[i].score) << i;
  }
}

using Setting = std::tuple<Metric, StorageType>;
class EveryMetric : public ::testing::TestWithParam<Setting> {
 protected:
  SampleOptions Options(uint32_t rows) const {
    return {.rows = rows, .metric = std::get<0>(GetParam()), .storage = std::get<1>(GetParam())};
  }
};
INSTANTIATE_TEST_SUITE_P(
    FunnelRun, EveryMetric,
    ::testing::Combine(::testing::Values(Metric::kCosine, Metric::kInnerProduct, Metric::kL2),
                       ::testing::Values(StorageType::kF32, StorageType::kF16, StorageType::kBf16,
                                         StorageType::kInt8)),
    [](const auto& setting) {
      return std::string(ToString(std::get<0>(setting.param))) + "_" +
             std::string(ToString(std::get<1>(setting.param)));
    });

TEST_P(EveryMetric, ExactSearchAgreesWithTheFloat64Reference) {
  const Sample sample(Options(800));
  const std::vector<float> query = sample.QueryNear(41, 1);
  for (const uint32_t dims : sample.schema.ladder) {
    const std::vector<float> prefix(query.begin(), query.begin() + dims);
    const Output exact = Search(ViewOf(sample), "exact", 20, prefix);
    ASSERT_THAT(exact.hits, SizeIs(20));
    std::vector<double> truth;
    for (uint32_t r = 0; r < 800; ++r) truth.push_back(sample.Reference(query.data(), r, dims));
    std::sort(truth.begin(), truth.end());
    if (sample.schema.metric != Metric::kL2) std::reverse(truth.begin(), truth.end());
    for (size_t i = 0; i < 20; ++i) {
      const Hit& hit = exact.hits[i];
      const double tolerance = sample.Tolerance(query.data(), hit.at.row, dims);
      EXPECT_NEAR(hit.score, sample.Reference(query.data(), hit.at.row, dims), tolerance);
      EXPECT_NEAR(hit.score, truth[i], 2 * tolerance) << i;
    }
  }
}

TEST_P(EveryMetric, AFunnelThatKeepsAllRowsIsExactSearch) {
  const Sample sample(Options(700));
  const View view = ViewOf(sample);
  for (uint32_t seed = 0; seed < 5; ++seed) {
    const std::vector<float> query = sample.QueryNear(100 * seed, seed);
    const Output exact = Search(view, "exact", 25, query);
    ExpectSame(Search(view, "8:700,16:700,32:700,48:25", 25, query), exact);
    ExpectSame(Search(view, "8b8:700,16b8:700,32:700,48:25", 25, query), exact);
    ExpectSame(Search(view, "8:700,48:700", 25, query), exact);
  }
}

TEST_P(EveryMetric, ListsEqualScoresById) {
  SampleOptions options = Options(300);
  options.edit = [](std::vector<float>& vectors) {
    for (size_t i = 48; i < vectors.size(); ++i) vectors[i] = vectors[i % 48];
  };
  const Sample sample(options);
  const View view = ViewOf(sample);
  const std::vector<float> query = sample.QueryNear(0, 2);
  for (const std::string text : {"exact", "8:300,48:5", "8b8:300,16:300,48:5"}) {
    const Output output = Search(view, text, 5, query);
    ASSERT_THAT(output.hits, SizeIs(5)) << text;
    for (uint32_t i = 0; i < 5; ++i) {
      EXPECT_EQ(sample.segment->Id(output.hits[i].at.row), PointId(uint64_t{i})) << text;
    }
  }
}

TEST_P(EveryMetric, MergesPartsAsIfTheyWereOne) {
  const Sample one(Options(300));
  const Sample two(Options(450));  // its first 300 rows equal those of `one`
  const View view = {.schema = one.schema,
                     .parts = {{.segment = one.segment, .indexes = {one.scan}},
                               {.segment = two.segment, .indexes = {two.scan}}}};
  EXPECT_EQ(view.rows(), 750);
  const std::vector<float> query = one.QueryNear(7, 3);
  const Output exact = Search(view, "exact", 30, query);
  ExpectSame(Search(view, "8b8:750,16b8:750,48:30", 30, query), exact);
  EXPECT_TRUE(std::any_of(exact.hits.begin(), exact.hits.end(),
                          [](const Hit& hit) { return hit.at.part == 0; }));
  EXPECT_TRUE(std::any_of(exact.hits.begin(), exact.hits.end(),
                          [](const Hit& hit) { return hit.at.part == 1; }));
  EXPECT_EQ(exact.hits[0].score, exact.hits[1].score);
}

TEST(FunnelRun, GivesTheSameAnswerEveryTime) {
  const Sample sample({.rows = 2000});
  const View view = ViewOf(sample);
  const std::vector<float> query = sample.QueryNear(5, 4);
  const Output first = Search(view, "8:200,16:100,32:50,48:10", 10, query);
  for (int i = 0; i < 3; ++i) {
    ExpectSame(Search(view, "8:200,16:100,32:50,48:10", 10, query), first);
  }
}

TEST(FunnelRun, TracesStagesAndCountsMultiplyAddsAsThePaper) {
  const Sample sample({.rows = 2000});
  const Output output =
      Search(ViewOf(sample), "8:200,16:100,32:50,48:10", 10, sample.QueryNear(5, 4));
  const auto& stages = output.trace.stages;
  ASSERT_THAT(stages, SizeIs(4));
  EXPECT_EQ(stages[0].kind, "scan");
  EXPECT_EQ(stages[1].kind, "rerank");
  EXPECT_EQ(stages[0].candidates_in, 2000);
  EXPECT_GE(stages[0].rescored, 200);
  EXPECT_EQ(stages[1].candidates_in, 200);
  EXPECT_EQ(stages[2].candidates_in, 100);
  EXPECT_EQ(stages[3].candidates_in, 50);
  EXPECT_EQ(stages[3].candidates_out, 10);
  EXPECT_EQ(stages[1].bytes, 200 * 16 * sizeof(float));
  EXPECT_EQ(stages[2].bytes, 100 * 16 * sizeof(float));
  EXPECT_EQ(stages[3].bytes, 50 * 16 * sizeof(float));
  EXPECT_EQ(stages[3].score_cut, output.hits.back().score);
  EXPECT_EQ(output.trace.multiply_adds, 2000 * 8 + 200 * 16 + 100 * 32 + 50 * 48);
}

TEST(FunnelRun, KeepsTheSumsOfAStageThroughOneOnCodes) {
  const Sample sample({.rows = 2000, .codes = {{8, 8}, {48, 8}}});
  const Output output =
      Search(ViewOf(sample), "8b8:400,8:200,48b8:50,48:10", 10, sample.QueryNear(5, 4));
  const auto& stages = output.trace.stages;
  ASSERT_THAT(stages, SizeIs(4));
  EXPECT_EQ(stages[0].rescored, 0);
  EXPECT_EQ(stages[1].bytes, 400 * 8 * sizeof(float));
  EXPECT_EQ(stages[2].bits, 8);
  EXPECT_EQ(stages[2].bytes, 200 * 48);
  EXPECT_EQ(stages[3].bytes, 50 * (48 - 8) * sizeof(float));
}

TEST(FunnelRun, TellsWherePointsWereLost) {
  const Sample sample({.rows = 1000});
  const View view = ViewOf(sample);
  const std::vector<float> query = sample.QueryNear(5, 4);
  const Output exact = Search(view, "exact", 1000, query);
  const Location best = exact.hits.front().at;
  const Location worst = exact.hits.back().at;
  const std::vector<PointId> ids = {sample.IdOf(best.row), sample.IdOf(worst.row),
                                    PointId(std::string("nobody"))};
  const Output output = Search(view, "8:500,16:100,48:10", 10, query, {.why_not = ids});
  ASSERT_THAT(output.trace.why_not, SizeIs(3));
  const WhyNot& won = output.trace.why_not[0];
  EXPECT_TRUE(won.found);
  EXPECT_EQ(won.lost_at, -1);
  ASSERT_THAT(won.stages, SizeIs(3));
  EXPECT_EQ(won.stages[2].rank, 0);
  EXPECT_EQ(won.stages[2].score, exact.hits.front().score);
  const WhyNot& lost = output.trace.why_not[1];
  EXPECT_TRUE(lost.found);
  EXPECT_EQ(lost.lost_at, 0);
  EXPECT_EQ(lost.stages[0].rank, -1);
  EXPECT_NEAR(lost.stages[1].score, sample.Reference(query.data(), worst.row, 16), 1e-5);
  EXPECT_EQ(lost.stages[2].score, exact.hits.back().score);
  const WhyNot& unknown = output.trace.why_not[2];
  EXPECT_FALSE(unknown.found);
  EXPECT_THAT(unknown.stages, SizeIs(0));
}

TEST(FunnelRun, RanksFollowedPointsAtEveryStage) {
  const Sample sample({.rows = 400});
  const View view = ViewOf(sample);
  const std::vector<float> query = sample.QueryNear(5, 4);
  const std::vector<float> prefix(query.begin(), query.begin() + 16);
  const Output at16 = Search(view, "exact", 50, prefix);
  const std::vector<PointId> ids = {sample.IdOf(at16.hits[20].at.row)};
  const Output output = Search(view, "8:400,16:50,48:10", 10, query, {.why_not = ids});
  EXPECT_EQ(output.trace.why_not[0].stages[1].rank, 20);
}

TEST(FunnelRun, LeavesARowOut) {
  const Sample sample({.rows = 300});
  const View view = ViewOf(sample);
  const std::vector<float> query(sample.row(9), sample.row(9) + 48);
  for (const std::string text : {"exact", "8:300,48:11", "48:11"}) {
    const Output with = Search(view, text, 11, query);
    EXPECT_EQ(with.hits[0].at, (Location{0, 9}));
    const Output without = Search(view, text, 10, query, {.leave_out = Location{0, 9}});
    ASSERT_THAT(without.hits, SizeIs(10)) << text;
    for (size_t i = 0; i < 10; ++i) EXPECT_EQ(without.hits[i].at, with.hits[i + 1].at) << text;
  }
}

TEST(FunnelRun, TransformsTheQueryAsTheRows) {
  const Sample sample({.rows = 300, .metric = Metric::kL2, .transform = Transform::kLayerNorm});
  std::vector<float> written(48);
  ASSERT_TRUE(sample.segment->Vector(12, written.data()).ok());
  const Output output = Search(ViewOf(sample), "8:300,48:1", 1, written);
  ASSERT_THAT(output.hits, SizeIs(1));
  EXPECT_EQ(output.hits[0].at.row, 12);
  EXPECT_NEAR(output.hits[0].score, 0, 1e-6);
}

TEST(FunnelRun, RescoresWhatFaissFoundAlone) {
  Sample sample({.rows = 400});
  const std::string path = sample.PathOf("000001.faiss.idx");
  ASSERT_TRUE(coarse::BuildFaiss(FileSystem::Posix(), path, *sample.segment, {"SQ8", 48}).ok());
  auto index = coarse::OpenFaiss(FileSystem::Posix(), path, sample.segment, sample.account);
  ASSERT_TRUE(index.ok()) << index.status();
  View view = ViewOf(sample);
  view.parts[0].indexes.insert(view.parts[0].indexes.begin(), *std::move(index));
  const std::vector<float> query = sample.QueryNear(77, 5);
  const Output found = Search(view, "faiss/48:5", 5, query);
  const coarse::LevelScorer scorer(*sample.segment, query.data(), 3);
  ASSERT_THAT(found.hits, SizeIs(5));
  for (const Hit& hit : found.hits) EXPECT_EQ(hit.score, scorer.Key(hit.at.row, 3));
}

TEST(FunnelRun, RefusesQueriesThatHaveNoAnswer) {
  const Sample sample({.rows = 50});
  const View view = ViewOf(sample);
  const Plan plan = PlanFor(view, "8:20,48:5", 5);
  const auto refusal = [&](const std::vector<float>& query) {
    const absl::Status status = funnel::Run(view, plan, query, {}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_THAT(refusal(std::vector<float>(48)), HasSubstr("zero vector"));
  EXPECT_THAT(refusal(std::vector<float>(32, 1.0f)), HasSubstr("the query has 32 dims"));
  EXPECT_THAT(refusal(std::vector<float>(49, 1.0f)), HasSubstr("the query has 49 dims"));
  std::vector<float> query(48, 1.0f);
  query[7] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(refusal(query), HasSubstr("dimension 7 is nan"));
  query[7] = std::numeric_limits<float>::infinity();
  EXPECT_THAT(refusal(query), HasSubstr("dimension 7 is inf"));
  EXPECT_THAT(refusal(std::vector<float>(48, 1e19f)), HasSubstr("squared norm"));
}

TEST(FunnelRun, EndsWhenStopped) {
  const Sample sample({.rows = 50});
  const View view = ViewOf(sample);
  for (const std::string text : {"exact", "8:20,48:5"}) {
    const absl::Status status = funnel::Run(view, PlanFor(view, text, 5), sample.QueryNear(1, 1),
                                            {.stopped = [] { return true; }})
                                    .status();
    EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
    EXPECT_THAT(std::string(status.message()), HasSubstr("stopped"));
  }
}

TEST(FunnelRun, NamesTheSegmentThatLacksAnIndex) {
  const Sample sample({.rows = 50});
  const View view = ViewOf(sample);
  const Plan plan = PlanFor(view, "8:20,48:5", 5);
  View bare = view;
  bare.parts[0].indexes.clear();
  const absl::Status status = funnel::Run(bare, plan, sample.QueryNear(1, 1), {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("segment 1 has no index of the kind `scan`"));
}

TEST(Find, LooksThroughAllParts) {
  const Sample sample({.rows = 50});
  EXPECT_EQ(Find(ViewOf(sample), sample.IdOf(7)), (Location{0, 7}));
  EXPECT_EQ(Find(ViewOf(sample), PointId(uint64_t{50})), std::nullopt);
}

}  // namespace
}  // namespace mrl::funnel
