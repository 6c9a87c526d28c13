// A search whose scan is cut into pieces for idle threads.
#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "index/funnel/run.h"
#include "tests/unit/coarse/sample.h"
#include "tests/unit/funnel/plan_for.h"

namespace mrl::funnel {
namespace {

using test::PlanFor;
using test::Sample;
using test::SampleOptions;

constexpr uint32_t kRows = 140'000;  // of 64 dims: more than one piece of every code

// As many threads as pieces.
class Threads final : public Parallel {
 public:
  size_t width() const override { return 5; }
  void Run(size_t pieces, absl::FunctionRef<void(size_t)> piece) override {
    pieces_ += pieces;
    std::vector<std::thread> threads;
    for (size_t i = 0; i < pieces; ++i) threads.emplace_back([piece, i] { piece(i); });
    for (std::thread& thread : threads) thread.join();
  }
  size_t pieces() const { return pieces_; }

 private:
  std::atomic<size_t> pieces_ = 0;
};

class Split : public ::testing::Test {
 protected:
  void Make(Metric metric, std::vector<Code> codes) {
    sample_ = std::make_unique<Sample>(SampleOptions{.rows = kRows,
                                                     .ladder = {32, 64},
                                                     .metric = metric,
                                                     .storage = StorageType::kF16,
                                                     .codes = std::move(codes),
                                                     .edit = [](std::vector<float>& vectors) {
                                                       // The rows of the last tenth are twins of
                                                       // those of the first: scores tie.
                                                       const size_t tenth = vectors.size() / 10;
                                                       std::copy_n(vectors.begin(), tenth,
                                                                   vectors.end() - tenth);
                                                     }});
    view_.schema = sample_->schema;
    view_.parts = {{.segment = sample_->segment, .indexes = {sample_->scan}, .allowed = nullptr}};
  }

  // A tile of three with helpers finds what it finds without.
  void ExpectTheSame(const std::string& text) {
    const Plan plan = PlanFor(view_, text, 10);
    std::vector<std::vector<float>> vectors;
    for (uint32_t i = 0; i < 3; ++i) vectors.push_back(sample_->QueryNear(1000 + i * 50'000, i));
    Threads threads;
    std::vector<TileQuery> queries;
    for (const auto& vector : vectors) queries.push_back({vector, {.helpers = &threads}});
    const auto split = RunTile(view_, plan, queries);
    EXPECT_GT(threads.pieces(), 1u) << text;
    for (size_t i = 0; i < vectors.size(); ++i) {
      const auto whole = funnel::Run(view_, plan, vectors[i], {});
      ASSERT_TRUE(split[i].ok() && whole.ok()) << text;
      ASSERT_EQ(split[i]->hits.size(), whole->hits.size());
      for (size_t j = 0; j < whole->hits.size(); ++j) {
        EXPECT_EQ(split[i]->hits[j].at, whole->hits[j].at) << text << " " << i << " " << j;
        EXPECT_EQ(split[i]->hits[j].score, whole->hits[j].score) << text;
      }
      ASSERT_EQ(split[i]->trace.stages.size(), whole->trace.stages.size());
      for (size_t stage = 0; stage < whole->trace.stages.size(); ++stage) {
        EXPECT_EQ(split[i]->trace.stages[stage].score_cut, whole->trace.stages[stage].score_cut);
        EXPECT_EQ(split[i]->trace.stages[stage].candidates_out,
                  whole->trace.stages[stage].candidates_out);
        EXPECT_EQ(split[i]->trace.stages[stage].bytes, whole->trace.stages[stage].bytes) << text;
      }
    }
  }

  std::unique_ptr<Sample> sample_;
  View view_;
};

TEST_F(Split, FindsTheSameByCodes) {
  Make(Metric::kCosine, {{64, 8}, {64, 4}});
  for (const char* text :
       {"exact", "64b8:300,64:10", "64b4:300,64:10", "64b4:20000,64:10", "64:10", "32:300,64:10"}) {
    ExpectTheSame(text);
  }
}

TEST_F(Split, FindsTheSameByDistance) {
  Make(Metric::kL2, {{64, 8}});
  for (const char* text : {"exact", "64b8:300,64:10", "64:10"}) ExpectTheSame(text);
}

TEST_F(Split, FindsTheSameAmongRowsThatAFilterLeaves) {
  Make(Metric::kCosine, {{64, 8}, {64, 4}});
  auto allowed = std::make_shared<std::vector<uint64_t>>((kRows + 63) / 64, 0);
  // All of it lies in one piece, and nothing of the sample that thresholds come from.
  for (uint32_t row = 1001; row < 1500; ++row) (*allowed)[row / 64] |= uint64_t{1} << (row % 64);
  view_.parts[0].allowed = allowed;
  for (const char* text : {"exact", "64b8:300,64:10", "64b4:300,64:10", "64:10"}) {
    ExpectTheSame(text);
  }
}

TEST_F(Split, EndsWhenItIsStopped) {
  Make(Metric::kCosine, {{64, 8}});
  const std::vector<float> vector = sample_->QueryNear(7, 1);
  Threads threads;
  std::atomic<int> polls = 0;
  const RunOptions options = {.stopped = [&polls] { return ++polls > 3; }, .helpers = &threads};
  for (const char* text : {"exact", "64b8:300,64:10"}) {
    polls = 0;
    EXPECT_EQ(funnel::Run(view_, PlanFor(view_, text, 10), vector, options).status().code(),
              absl::StatusCode::kCancelled)
        << text;
  }
}

}  // namespace
}  // namespace mrl::funnel
