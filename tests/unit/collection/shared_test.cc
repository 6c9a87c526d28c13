// One collection under many searches at once; with the preset `tsan`, a proof that they share
// nothing that changes.
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/collection/collection.h"
#include "index/funnel/plan.h"
#include "index/funnel/run.h"
#include "tests/support/test_folder.h"
#include "tests/unit/collection/sample.h"

namespace mrl::collection {
namespace {

using ::testing::Each;

constexpr uint32_t kRows = 300;
constexpr int kThreads = 4;

class SharedCollection : public ::testing::Test {
 protected:
  SharedCollection() {
    BuildOptions options;
    options.segment_rows_max = 200;
    options.index = coarse::IndexSpec{.kind = "faiss", .dims = 10, .factory = "HNSW8"};
    EXPECT_TRUE(Build(FileSystem::Posix(), path_, schema_, kRows, options).ok());
    auto opened = Collection::Open(FileSystem::Posix(), path_, account_);
    EXPECT_TRUE(opened.ok()) << opened.status();
    if (opened.ok()) collection_ = *std::move(opened);
  }

  funnel::Plan PlanFor(const std::string& text) const {
    funnel::PlanInput input = collection_->plan_input();
    input.k = 10;
    input.exact = text == "exact";
    if (!input.exact) input.funnel = *funnel::ParseFunnel(text);
    const auto plan = funnel::MakePlan(input);
    EXPECT_TRUE(plan.ok()) << plan.status();
    return *plan;
  }
  // Ids, scores and payloads of the nearest to a row, in text.
  std::string Answer(const funnel::Plan& plan, uint32_t row) const {
    const std::vector<float> query = MakeChunk(schema_, 1, 1000 + row).vectors;
    const auto output = funnel::Run(collection_->view(), plan, query, {});
    if (!output.ok()) return output.status().ToString();
    std::string text;
    for (const funnel::Hit& hit : output->hits) {
      const store::Segment& segment = *collection_->view().parts[hit.at.part].segment;
      text += segment.Id(hit.at.row).ToString() + " " + std::to_string(hit.score) + " " +
              segment.Payload(hit.at.row).value_or("?") + "\n";
    }
    return text;
  }

  std::vector<std::vector<std::string>> AnswersOfMany(const funnel::Plan& plan) const;

  test::TestFolder folder_;
  const std::string path_ = folder_.Path("c");
  const Schema schema_ = SmallSchema();
  MemoryAccount account_{1 << 30};
  std::shared_ptr<const Collection> collection_;
};

// Of the same 20 rows, by each of some threads at a time.
std::vector<std::vector<std::string>> SharedCollection::AnswersOfMany(
    const funnel::Plan& plan) const {
  std::vector<std::vector<std::string>> together(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (uint32_t row = 0; row < 20; ++row) together[t].push_back(Answer(plan, row));
    });
  }
  for (std::thread& thread : threads) thread.join();
  return together;
}

class EveryPlan : public SharedCollection, public ::testing::WithParamInterface<const char*> {};

TEST_P(EveryPlan, AnswersManyAsItAnswersOne) {
  const funnel::Plan plan = PlanFor(GetParam());
  std::vector<std::string> alone;
  for (uint32_t row = 0; row < 20; ++row) alone.push_back(Answer(plan, row));
  EXPECT_THAT(AnswersOfMany(plan), Each(alone));
}

TEST_P(EveryPlan, AnswersManyFromDiskAsOneFromMemory) {
  const funnel::Plan plan = PlanFor(GetParam());
  std::vector<std::string> held;
  for (uint32_t row = 0; row < 20; ++row) held.push_back(Answer(plan, row));
  // Pages are checked by those who come first, all at once.
  collection_ = *Collection::Open(FileSystem::Posix(), path_, account_, {.hot_dims = 4});
  EXPECT_THAT(AnswersOfMany(plan), Each(held));
}

constexpr const char* kPlans[] = {"exact", "scan/4:100,10:50,24:10", "scan/4b8:100,10b8:50,24:10",
                                  "faiss/10:50,24:10"};
INSTANTIATE_TEST_SUITE_P(SharedCollection, EveryPlan, ::testing::ValuesIn(kPlans));

TEST_F(SharedCollection, IsOpenedClosedAndReplacedWhileOthersRead) {
  const auto read = [this] {
    for (int i = 0; i < 10; ++i) {
      const auto opened = Collection::Open(FileSystem::Posix(), path_, account_);
      // An exchange between two of its files may be seen; a mix of both never is.
      if (!opened.ok()) continue;
      EXPECT_EQ((*opened)->rows() % 100, 0u);
    }
  };
  std::thread one(read);
  std::thread two(read);
  BuildOptions options;
  options.replace = true;
  for (const uint32_t rows : {100u, 200u}) {
    EXPECT_TRUE(Build(FileSystem::Posix(), path_, schema_, rows, options).ok());
  }
  one.join();
  two.join();
  EXPECT_EQ((*Collection::Open(FileSystem::Posix(), path_, account_))->rows(), 200u);
}

}  // namespace
}  // namespace mrl::collection
