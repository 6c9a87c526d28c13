#include "index/funnel/stepped.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/coarse/sample.h"
#include "tests/unit/funnel/plan_for.h"

namespace mrl::funnel {
namespace {

using test::Sample;
using ::testing::ElementsAre;

class Stepped : public ::testing::Test {
 protected:
  Stepped() : sample_({.rows = 800}) {
    view_ = {.schema = sample_.schema,
             .parts = {{.segment = sample_.segment, .indexes = {sample_.scan}}}};
    plan_ = test::PlanFor(view_, "8:100,16:40,48:5", 5);
  }
  std::vector<float> Query() const { return sample_.QueryNear(41, 1); }
  SteppedOutput Run(const SteppedOptions& stepped, const RunOptions& options = {}) const {
    auto output = RunStepped(view_, plan_, Query(), options, stepped);
    EXPECT_TRUE(output.ok()) << output.status();
    return output.ok() ? *std::move(output) : SteppedOutput();
  }
  static std::vector<uint32_t> Rows(absl::Span<const Hit> hits) {
    std::vector<uint32_t> rows;
    for (const Hit& hit : hits) rows.push_back(hit.at.row);
    return rows;
  }

  const Sample sample_;
  View view_;
  Plan plan_;
};

TEST_F(Stepped, EqualsASearchWhenNothingEndsIt) {
  std::vector<size_t> seen;
  std::vector<uint32_t> last;
  const SteppedOutput output =
      Run({.after = [&](size_t stage, const StageTrace& trace, absl::Span<const Hit> best) {
        EXPECT_EQ(trace.candidates_out, plan_.stages[stage].keep);
        EXPECT_EQ(best.size(), 5u);
        seen.push_back(stage);
        last = Rows(best);
        return Next::kGoOn;
      }});
  EXPECT_THAT(seen, ElementsAre(0, 1, 2));
  const auto whole = funnel::Run(view_, plan_, Query(), {});
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_EQ(Rows(output.output.hits), Rows(whole->hits));
  EXPECT_EQ(last, Rows(whole->hits));
  EXPECT_EQ(output.output.hits[0].score, whole->hits[0].score);
  EXPECT_EQ(output.output.trace.multiply_adds, whole->trace.multiply_adds);
  EXPECT_FALSE(output.cut);
}

TEST_F(Stepped, EndsWhereItIsToldTo) {
  const SteppedOutput output =
      Run({.after = [](size_t stage, const StageTrace&, absl::Span<const Hit>) {
        return stage == 1 ? Next::kEnd : Next::kGoOn;
      }});
  EXPECT_EQ(output.output.trace.stages.size(), 2u);
  EXPECT_FALSE(output.cut);
  // What the funnel 8:100,16:5 finds: the same rows and scores.
  Plan shorter = plan_;
  shorter.stages = {plan_.stages[0], {.dims = 16, .bits = 0, .keep = 5}};
  const auto expected = funnel::Run(view_, shorter, Query(), {});
  ASSERT_TRUE(expected.ok()) << expected.status();
  EXPECT_EQ(Rows(output.output.hits), Rows(expected->hits));
  EXPECT_EQ(output.output.hits[0].score, expected->hits[0].score);
}

TEST_F(Stepped, GoesStraightToTheLastStageWithTheBest) {
  std::vector<uint32_t> first;
  std::vector<size_t> seen;
  const SteppedOutput output =
      Run({.after =
               [&](size_t stage, const StageTrace&, absl::Span<const Hit> best) {
                 seen.push_back(stage);
                 if (stage > 0) return Next::kGoOn;
                 EXPECT_EQ(best.size(), 10u);
                 first = Rows(best.first(5));
                 return Next::kLast;
               },
           .anytime = false,
           .watched = 10});
  EXPECT_THAT(seen, ElementsAre(0, 2));
  ASSERT_EQ(output.output.trace.stages.size(), 2u);
  EXPECT_EQ(output.output.trace.stages[1].dims, 48u);
  EXPECT_EQ(output.output.trace.stages[1].candidates_in, 5u);
  EXPECT_EQ(output.output.trace.multiply_adds, 800u * 8 + 5 * 48);
  EXPECT_THAT(Rows(output.output.hits), ::testing::UnorderedElementsAreArray(first));
  // The scores are those of the whole vector.
  const auto whole = funnel::Run(view_, plan_, Query(), {});
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_EQ(output.output.hits[0].score, whole->hits[0].score);
}

TEST_F(Stepped, AnytimeGivesTheBestOfTheStageBeforeTheStop) {
  bool stop = false;
  RunOptions options;
  options.stopped = [&stop] { return stop; };
  std::vector<uint32_t> first;
  const SteppedOptions stepped = {.after =
                                      [&](size_t, const StageTrace&, absl::Span<const Hit> best) {
                                        first = Rows(best);
                                        stop = true;
                                        return Next::kGoOn;
                                      },
                                  .anytime = true};
  const SteppedOutput output = Run(stepped, options);
  EXPECT_TRUE(output.cut);
  EXPECT_EQ(output.output.trace.stages.size(), 1u);
  EXPECT_EQ(Rows(output.output.hits), first);
  EXPECT_EQ(first.size(), 5u);
  // Before the first stage has ended there is nothing to give; without anytime a stop is an error.
  EXPECT_EQ(RunStepped(view_, plan_, Query(), options, stepped).status().code(),
            absl::StatusCode::kCancelled);
  stop = false;
  SteppedOptions whole = stepped;
  whole.anytime = false;
  EXPECT_EQ(RunStepped(view_, plan_, Query(), options, whole).status().code(),
            absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace mrl::funnel
