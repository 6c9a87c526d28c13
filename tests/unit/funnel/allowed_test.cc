#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/funnel/run.h"
#include "tests/unit/coarse/sample.h"
#include "tests/unit/funnel/plan_for.h"

namespace mrl::funnel {
namespace {

using test::Sample;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint32_t kRows = 700;

// A view whose rows are all deleted but those that `keep` says.
template <typename Keep>
View ViewOf(const Sample& sample, Keep keep) {
  auto allowed = std::make_shared<std::vector<uint64_t>>((kRows + 63) / 64);
  for (uint32_t row = 0; row < kRows; ++row) {
    if (keep(row)) (*allowed)[row / 64] |= uint64_t{1} << (row % 64);
  }
  return {
      .schema = sample.schema,
      .parts = {
          {.segment = sample.segment, .indexes = {sample.scan}, .allowed = std::move(allowed)}}};
}

Output Search(const View& view, const std::string& text, const std::vector<float>& query,
              const RunOptions& options = {}, uint32_t k = 25) {
  const auto output = funnel::Run(view, test::PlanFor(view, text, k), query, options);
  EXPECT_TRUE(output.ok()) << output.status();
  return output.ok() ? *output : Output();
}

class DeletedRows : public ::testing::Test {
 protected:
  static bool Live(uint32_t row) { return row % 3 == 1; }
  const Sample sample_{{.rows = kRows}};
  const View view_ = ViewOf(sample_, Live);
};

TEST_F(DeletedRows, AreFoundByNoSearch) {
  const std::vector<float> query = sample_.QueryNear(41, 1);
  for (const std::string text : {"exact", "8:100,48:25", "8b8:100,16b8:50,48:25", "48:25"}) {
    const Output output = Search(view_, text, query);
    ASSERT_THAT(output.hits, SizeIs(25)) << text;
    for (const Hit& hit : output.hits) EXPECT_TRUE(Live(hit.at.row)) << text << " " << hit.at.row;
  }
}

TEST_F(DeletedRows, LeaveTheOthersTheirScores) {
  const std::vector<float> query = sample_.QueryNear(41, 1);
  const Output all =
      Search(ViewOf(sample_, [](uint32_t) { return true; }), "8:700,48:700", query, {}, 700);
  std::vector<Hit> expected;
  for (const Hit& hit : all.hits) {
    if (Live(hit.at.row)) expected.push_back(hit);
  }
  const Output some = Search(view_, "8:700,48:700", query, {}, 700);
  ASSERT_EQ(some.hits.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(some.hits[i].at, expected[i].at) << i;
    EXPECT_EQ(some.hits[i].score, expected[i].score) << i;
  }
}

TEST_F(DeletedRows, AreNotFoundById) {
  EXPECT_EQ(Find(view_, sample_.segment->Id(2)), std::nullopt);
  EXPECT_EQ(Find(view_, sample_.segment->Id(1)), (Location{.part = 0, .row = 1}));
  const std::vector<PointId> ids = {sample_.segment->Id(2), sample_.segment->Id(1)};
  const Output output = Search(view_, "8:100,48:25", sample_.QueryNear(1, 1), {.why_not = ids});
  ASSERT_THAT(output.trace.why_not, SizeIs(2));
  EXPECT_FALSE(output.trace.why_not[0].found);
  EXPECT_TRUE(output.trace.why_not[1].found);
}

TEST_F(DeletedRows, AreNotCounted) {
  const auto live = static_cast<uint64_t>(233);
  EXPECT_EQ(view_.rows(), live);
  const std::vector<float> query = sample_.QueryNear(41, 1);
  EXPECT_EQ(Search(view_, "exact", query).trace.stages[0].candidates_in, live);
  EXPECT_EQ(Search(view_, "8:100,48:25", query).trace.stages[0].candidates_in, live);
}

TEST_F(DeletedRows, MayBeAllOfThem) {
  const View view = ViewOf(sample_, [](uint32_t) { return false; });
  for (const std::string text : {"exact", "8:100,48:25", "8b8:100,48:25"}) {
    EXPECT_THAT(Search(view, text, sample_.QueryNear(1, 1)).hits, IsEmpty()) << text;
  }
}

}  // namespace
}  // namespace mrl::funnel
