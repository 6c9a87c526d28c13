// Queries that share their coarse search.
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/funnel/run.h"
#include "tests/unit/coarse/sample.h"
#include "tests/unit/funnel/plan_for.h"

namespace mrl::funnel {
namespace {

using test::PlanFor;
using test::Sample;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class Tile : public ::testing::TestWithParam<std::string> {
 protected:
  Tile() : sample_({.rows = 20'000, .codes = {{16, 8}, {48, 1}}}) {
    view_.schema = sample_.schema;
    view_.parts = {{.segment = sample_.segment, .indexes = {sample_.scan}, .allowed = nullptr}};
    const size_t count = TileMax(PlanFor(view_, GetParam(), 10));
    for (uint32_t i = 0; i < count; ++i) vectors_.push_back(sample_.QueryNear(i * 300, i));
    for (const std::vector<float>& vector : vectors_) queries_.push_back({vector, {}});
  }

  const Sample sample_;
  View view_;
  std::vector<std::vector<float>> vectors_;
  std::vector<TileQuery> queries_;
};
INSTANTIATE_TEST_SUITE_P(Plans, Tile,
                         ::testing::Values("exact", "16:200,48:10", "16b1:2000,48b1:200,48:10"),
                         [](const auto& plan) { return "plan" + std::to_string(plan.index); });

TEST_P(Tile, GivesEachQueryWhatItGetsAlone) {
  const Plan plan = PlanFor(view_, GetParam(), 10);
  queries_[3].options.leave_out = Location{0, 900};  // its nearest
  const auto outputs = RunTile(view_, plan, queries_);
  ASSERT_THAT(outputs, SizeIs(queries_.size()));
  for (size_t i = 0; i < queries_.size(); ++i) {
    const auto alone = funnel::Run(view_, plan, vectors_[i], queries_[i].options);
    ASSERT_TRUE(outputs[i].ok() && alone.ok());
    ASSERT_EQ(outputs[i]->hits.size(), alone->hits.size());
    for (size_t j = 0; j < alone->hits.size(); ++j) {
      EXPECT_EQ(outputs[i]->hits[j].at, alone->hits[j].at) << i;
      EXPECT_EQ(outputs[i]->hits[j].score, alone->hits[j].score) << i;
    }
    EXPECT_EQ(outputs[i]->trace.multiply_adds, alone->trace.multiply_adds);
  }
}

TEST_P(Tile, ABadQueryFailsAlone) {
  vectors_[1][5] = std::numeric_limits<float>::quiet_NaN();
  queries_[2].options.stopped = [] { return true; };
  const auto outputs = RunTile(view_, PlanFor(view_, GetParam(), 10), queries_);
  EXPECT_EQ(outputs[1].status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(outputs[1].status().message()), HasSubstr("dimension 5 is nan"));
  EXPECT_EQ(outputs[2].status().code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(outputs[0]->hits, SizeIs(10));
  EXPECT_THAT(outputs[3]->hits, SizeIs(10));
}

}  // namespace
}  // namespace mrl::funnel
