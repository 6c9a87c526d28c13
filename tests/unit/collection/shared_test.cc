// One collection under many searches at once; with the preset `tsan`, a proof that they share
// nothing that changes.
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
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
constexpr int kThreads = 64;
constexpr uint32_t kQueries = 20;

// With signs of everything beside the bytes.
Schema SchemaWithSigns() {
  Schema schema = SmallSchema();
  schema.codes.push_back({24, 1});
  return schema;
}

class SharedCollection : public ::testing::Test {
 protected:
  explicit SharedCollection(std::optional<coarse::IndexSpec> index = std::nullopt) {
    BuildOptions options;
    options.segment_rows_max = 200;
    options.index = std::move(index);
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
  std::vector<float> QueryOf(uint32_t number) const {
    return MakeChunk(schema_, 1, 1000 + number).vectors;
  }
  // Ids, scores and payloads, or the refusal.
  std::string TextOf(const absl::StatusOr<funnel::Output>& output) const {
    if (!output.ok()) return output.status().ToString();
    std::string text;
    for (const funnel::Hit& hit : output->hits) {
      const store::Segment& segment = *collection_->view().parts[hit.at.part].segment;
      text += segment.Id(hit.at.row).ToString() + " " + std::to_string(hit.score) + " " +
              segment.Payload(hit.at.row).value_or("?") + "\n";
    }
    return text;
  }

  // To the same queries, one after the other or by tiles.
  std::vector<std::string> Answers(const funnel::Plan& plan) const;
  std::vector<std::string> AnswersByTiles(const funnel::Plan& plan) const;
  std::vector<std::vector<std::string>> AnswersOfMany(const funnel::Plan& plan) const;

  test::TestFolder folder_;
  const std::string path_ = folder_.Path("c");
  const Schema schema_ = SchemaWithSigns();
  MemoryAccount account_{1 << 30};
  std::shared_ptr<const Collection> collection_;
};

std::vector<std::string> SharedCollection::Answers(const funnel::Plan& plan) const {
  std::vector<std::string> answers;
  for (uint32_t i = 0; i < kQueries; ++i) {
    answers.push_back(TextOf(funnel::Run(collection_->view(), plan, QueryOf(i), {})));
  }
  return answers;
}

std::vector<std::string> SharedCollection::AnswersByTiles(const funnel::Plan& plan) const {
  std::vector<std::vector<float>> vectors;
  for (uint32_t i = 0; i < kQueries; ++i) vectors.push_back(QueryOf(i));
  std::vector<funnel::TileQuery> queries;
  for (const std::vector<float>& vector : vectors) queries.push_back({vector, {}});
  std::vector<std::string> answers;
  for (size_t i = 0; i < queries.size(); i += funnel::TileMax(plan)) {
    const auto tile = absl::MakeSpan(queries).subspan(i, funnel::TileMax(plan));
    for (const auto& output : funnel::RunTile(collection_->view(), plan, tile)) {
      answers.push_back(TextOf(output));
    }
  }
  return answers;
}

// By all threads at once; every fourth asks by tiles.
std::vector<std::vector<std::string>> SharedCollection::AnswersOfMany(
    const funnel::Plan& plan) const {
  std::vector<std::vector<std::string>> together(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back(
        [&, t] { together[t] = t % 4 == 0 ? AnswersByTiles(plan) : Answers(plan); });
  }
  for (std::thread& thread : threads) thread.join();
  return together;
}

struct KindAndPlan {
  const char* kind;
  const char* plan;
};

std::optional<coarse::IndexSpec> IndexOf(absl::string_view kind) {
  if (kind == "faiss") {
    return coarse::IndexSpec{.kind = "faiss", .dims = 10, .factory = "HNSW8"};
  }
  if (kind == "ivf_scan") {
    return coarse::IndexSpec{.kind = "ivf_scan", .dims = 10, .lists = 6, .code = {24, 1}};
  }
  if (kind == "graph") {
    return coarse::IndexSpec{.kind = "graph", .dims = 24, .code = {24, 1}, .degree = 8};
  }
  return std::nullopt;
}

class EveryPlan : public SharedCollection, public ::testing::WithParamInterface<KindAndPlan> {
 protected:
  EveryPlan() : SharedCollection(IndexOf(GetParam().kind)) {}
};

TEST_P(EveryPlan, AnswersManyAsItAnswersOne) {
  const funnel::Plan plan = PlanFor(GetParam().plan);
  EXPECT_THAT(AnswersOfMany(plan), Each(Answers(plan)));
}

TEST_P(EveryPlan, AnswersManyFromDiskAsOneFromMemory) {
  const funnel::Plan plan = PlanFor(GetParam().plan);
  const std::vector<std::string> held = Answers(plan);
  // Pages are checked by those who come first, all at once.
  collection_ = *Collection::Open(FileSystem::Posix(), path_, account_, {.hot_dims = 4});
  EXPECT_THAT(AnswersOfMany(plan), Each(held));
}

constexpr KindAndPlan kPlans[] = {
    {"scan", "exact"},
    {"scan", "scan/4:100,10:50,24:10"},
    {"scan", "scan/4b8:100,10b8:50,24:10"},
    {"scan", "scan/10b1:150,24b1:100,10b8:50,24:10"},
    {"faiss", "faiss/10:50,24:10"},
    {"ivf_scan", "ivf_scan(nprobe=3)/24b1:100,10b8:50,24:10"},
    {"graph", "graph(efSearch=40)/24b1:100,24:10"},
};
INSTANTIATE_TEST_SUITE_P(SharedCollection, EveryPlan, ::testing::ValuesIn(kPlans),
                         [](const auto& plan) {
                           return absl::StrCat(plan.param.kind, "_", plan.index);
                         });

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

// Checks, codes and writing share nothing that changes either.
TEST(BuildOnThreads, IsWhole) {
  const test::TestFolder folder;
  Schema schema = SmallSchema(Metric::kCosine, StorageType::kInt8, Transform::kLayerNorm);
  schema.codes = {{4, 8}, {24, 1}};
  schema.fields = {{"n", FieldType::kInt}};
  BuildOptions options;
  options.segment_rows_max = 400;
  options.threads = kThreads;
  const std::string path = folder.Path("c");
  const auto report = Build(FileSystem::Posix(), path, schema, 700, options, /*chunk_rows=*/250);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->rows, 700u);
  EXPECT_TRUE(Verify(FileSystem::Posix(), path, {}).ok());
}

}  // namespace
}  // namespace mrl::collection
