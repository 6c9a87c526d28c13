#include "index/tune/view_subject.h"

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/tune/adaptive.h"
#include "index/tune/certificate.h"
#include "tests/unit/coarse/sample.h"

namespace mrl::tune {
namespace {

using test::Sample;
using ::testing::HasSubstr;

// Two parts of the same rows, of which every third of the second takes part.
class ViewSubject : public ::testing::Test {
 protected:
  ViewSubject() : sample_({.rows = 300}) {
    std::vector<uint64_t> bits(8);
    for (uint32_t row = 0; row < 300; row += 3) bits[row / 64] |= uint64_t{1} << (row % 64);
    funnel::View::Part whole = {.segment = sample_.segment, .indexes = {sample_.scan}};
    funnel::View::Part thin = whole;
    thin.allowed = std::make_shared<const std::vector<uint64_t>>(bits);
    view_ = {.schema = sample_.schema, .parts = {whole, thin}};
    plan_.schema = &view_.schema;
    plan_.kinds = {"scan"};
    plan_.query_dims = view_.schema.dim;
  }
  funnel::Plan PlanFor(const std::string& text, uint32_t k) const {
    funnel::PlanInput input = plan_;
    input.k = k;
    input.funnel = *funnel::ParseFunnel(text);
    return *funnel::MakePlan(input);
  }

  const Sample sample_;
  funnel::View view_;
  funnel::PlanInput plan_;
};

TEST_F(ViewSubject, SamplesRowsThatTakePartOnceEach) {
  const auto rows = SampleRows(view_, 150, 1);
  EXPECT_EQ(rows.size(), 150u);
  std::set<uint64_t> numbers;
  size_t in_second = 0;
  for (const funnel::Location& at : rows) {
    numbers.insert(RowOf(at));
    EXPECT_EQ(LocationOf(RowOf(at)), at);
    if (at.part == 0) continue;
    ++in_second;
    EXPECT_EQ(at.row % 3, 0u);
  }
  EXPECT_EQ(numbers.size(), 150u);
  EXPECT_NEAR(static_cast<double>(in_second), 150 * 100.0 / 400, 15);  // at even chances
  EXPECT_EQ(SampleRows(view_, 150, 1), rows);
  EXPECT_NE(SampleRows(view_, 150, 2), rows);
  EXPECT_EQ(SampleRows(view_, 1000, 1).size(), 400u);
  EXPECT_TRUE(SampleRows({.schema = view_.schema, .parts = {}}, 10, 1).empty());
}

TEST_F(ViewSubject, CertifiesWithDeletedRowsAndDuplicates) {
  const ViewQueries queries = *SampleQueries(view_, 60, 3);
  Subject subject = MakeSubject(view_, plan_, queries, {});
  ASSERT_TRUE(FindTruth(view_, queries, 10, 2, {}, {}, &subject).ok());
  const LostAtFn lost_at = LostAt(view_, queries, {});
  const auto exact = Certify(subject, lost_at, PlanFor("48:10", 10), 2, 1, {});
  ASSERT_TRUE(exact.ok()) << exact.status();
  EXPECT_EQ(exact->recall, 1);
  const auto narrow = Certify(subject, lost_at, PlanFor("8:15,48:10", 10), 2, 1, {});
  ASSERT_TRUE(narrow.ok()) << narrow.status();
  EXPECT_LT(narrow->recall, 1);
  EXPECT_LE(narrow->low, narrow->recall);
}

TEST_F(ViewSubject, SaysWhenThereIsNoNeighbour) {
  funnel::View alone = {.schema = view_.schema, .parts = {view_.parts[1]}};
  std::vector<uint64_t> one(8);
  one[0] = 1;
  alone.parts[0].allowed = std::make_shared<const std::vector<uint64_t>>(one);
  const ViewQueries queries = *SampleQueries(alone, 10, 1);
  ASSERT_EQ(queries.rows(), 1u);
  Subject subject = MakeSubject(alone, plan_, queries, {});
  const absl::Status status = FindTruth(alone, queries, 10, 1, {}, {}, &subject);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("1 points can be found; query 0 has no neighbour"));
}

TEST_F(ViewSubject, StopsWhenItIsTold) {
  const ViewQueries queries = *SampleQueries(view_, 20, 1);
  const StoppedFn stopped = [] { return true; };
  Subject subject = MakeSubject(view_, plan_, queries, stopped);
  EXPECT_EQ(FindTruth(view_, queries, 10, 2, stopped, {}, &subject).code(),
            absl::StatusCode::kCancelled);
}

TEST_F(ViewSubject, VotesClimbTheLadderAndLeaveTheirOwnPointOut) {
  // The label of a row is the cluster of its number: the same in both parts.
  const LabelFn label_of = [](const funnel::Location& at) -> absl::StatusOr<std::string> {
    return at.row % 50 == 49 ? "" : std::to_string(at.row);
  };
  const ViewQueries queries = *SampleQueries(view_, 80, 2);
  const funnel::Plan plan =
      PlanFor(funnel::FormatFunnel(ClimbingFunnel(view_.schema, view_.schema.dim, 1)), 1);
  const auto judged = JudgeVotes(view_, plan, queries, label_of, 2, {});
  ASSERT_TRUE(judged.ok()) << judged.status();
  EXPECT_EQ(judged->dims, view_.schema.ladder);
  // A row's twin, where it takes part, is its nearest neighbour: right. Else somebody else: wrong.
  size_t twins = 0;
  size_t labelled = 0;
  for (const funnel::Location& at : queries.own) {
    if (at.row % 50 == 49) continue;
    ++labelled;
    twins += at.row % 3 == 0 ? 1 : 0;
  }
  const Cascade whole = RunCascade(*judged, std::vector<double>{2, 2, 2, 0});
  EXPECT_EQ(judged->stages[0].size(), labelled);
  EXPECT_DOUBLE_EQ(whole.accuracy, static_cast<double>(twins) / static_cast<double>(labelled));
  const auto found =
      Classify(view_, plan, queries.row(0), {}, label_of, std::vector<double>{0.5, 0, 0, 0});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->stage, 0u);
  EXPECT_EQ(found->trace.stages.size(), 1u);
  const LabelFn nothing = [](const funnel::Location&) { return std::string(); };
  EXPECT_EQ(JudgeVotes(view_, plan, queries, nothing, 1, {}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

// An index of which only the kind and the effort are asked.
class Lists final : public coarse::CoarseIndex {
 public:
  Lists(std::string kind, coarse::Effort effort)
      : kind_(std::move(kind)), effort_(std::move(effort)) {}
  absl::string_view kind() const override { return kind_; }
  std::string Describe() const override { return kind_; }
  uint32_t dims() const override { return 0; }
  uint64_t memory_bytes() const override { return 0; }
  coarse::Effort effort() const override { return effort_; }
  absl::StatusOr<coarse::Result> Search(const coarse::Request&) const override {
    return absl::UnimplementedError("Search");
  }
  absl::Status Estimate(const float*, Code, absl::Span<const uint32_t>, float*) const override {
    return absl::UnimplementedError("Estimate");
  }

 private:
  const std::string kind_;
  const coarse::Effort effort_;
};

TEST_F(ViewSubject, TriesEffortsUpToAShareOfTheLists) {
  const auto efforts = [&](const coarse::Effort& effort) {
    view_.parts[0].indexes.push_back(std::make_shared<Lists>("lists", effort));
    std::vector<double> values;
    for (const coarse::Params& params : ParamsToTry(view_, "lists")) {
      for (const auto& [name, value] : params) values.push_back(value);
    }
    view_.parts[0].indexes.pop_back();
    return values;
  };
  const std::vector<double> few = {8, 16, 32, 64, 128, 256, 512};
  EXPECT_EQ(efforts({"nprobe", 7}), std::vector<double>());
  EXPECT_EQ(efforts({"nprobe", 40}), std::vector<double>({8, 16, 32}));
  EXPECT_EQ(efforts({"nprobe", 1500}), few);
  EXPECT_EQ(efforts({"nprobe", 9000}),
            std::vector<double>({8, 16, 32, 64, 128, 256, 512, 1024, 2048}));
  // Where nobody says how many there are, and for a walk, whatever the most is.
  EXPECT_EQ(efforts({"nprobe"}), few);
  EXPECT_EQ(efforts({"efSearch", 100'000}), few);
  // The active kind here is a scan, which has none.
  EXPECT_EQ(ParamsToTry(view_), std::vector<coarse::Params>({{}}));
}

}  // namespace
}  // namespace mrl::tune
