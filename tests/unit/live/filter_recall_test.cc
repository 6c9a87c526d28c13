// Searches with filters of several selectivities find as many of the nearest points as searches
// without: the promise of index/funnel/filtered.h.
#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "index/collection/collection.h"
#include "index/collection/live_collection.h"
#include "index/filter/filter.h"
#include "index/funnel/filtered.h"
#include "tests/support/test_folder.h"

namespace mrl::collection {
namespace {

constexpr uint32_t kRows = 12'000;
constexpr uint32_t kDim = 64;
constexpr uint32_t kQueries = 40;
constexpr uint32_t kHits = 10;

// Clusters whose first dimensions say most, as those of Matryoshka embeddings do.
class Vectors {
 public:
  std::vector<float> Next() {
    const uint32_t cluster = static_cast<uint32_t>(random_() % 50);
    std::mt19937 centre(cluster);
    std::normal_distribution<float> normal;
    std::normal_distribution<float> noise;  // its own: a distribution keeps every second value
    std::vector<float> vector(kDim);
    for (uint32_t i = 0; i < kDim; ++i) {
      const float scale = 1.0F / (1.0F + static_cast<float>(i) / 16);
      vector[i] = scale * (normal(centre) + 0.6F * noise(random_));
    }
    return vector;
  }

 private:
  std::mt19937 random_{11};
};

struct Kind {
  std::string name;
  std::string funnel;
  std::optional<coarse::IndexSpec> index;
};

class FilteredRecall : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    Schema schema;
    schema.dim = kDim;
    schema.ladder = {16, 32, 64};
    schema.codes = {{16, 8}, {64, 1}};
    schema.fields = {{"share", FieldType::kInt}};
    BuildOptions options;
    options.index = GetParam().index;
    options.segment_rows_max = 5000;
    Vectors vectors;
    std::mt19937 random(12);
    Chunk chunk;
    for (uint32_t row = 0; row < kRows; ++row) {
      const std::vector<float> vector = vectors.Next();
      chunk.vectors.insert(chunk.vectors.end(), vector.begin(), vector.end());
      chunk.ids.emplace_back(uint64_t{row});
      chunk.payloads.push_back(absl::StrCat("{\"share\":", random() % 1000, "}"));
    }
    for (uint32_t i = 0; i < kQueries; ++i) queries_.push_back(vectors.Next());
    const auto builder =
        CollectionBuilder::Create(FileSystem::Posix(), folder_.Path("c"), schema, options);
    ASSERT_TRUE(builder.ok()) << builder.status();
    ASSERT_TRUE((*builder)->Append(std::move(chunk)).ok());
    const auto report = (*builder)->Finish();
    ASSERT_TRUE(report.ok()) << report.status();
    const auto opened = Collection::Open(FileSystem::Posix(), folder_.Path("c"), account_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    collection_ = *opened;
  }

  funnel::Plan MakePlan(bool exact) {
    funnel::PlanInput input = collection_->plan_input();
    input.k = kHits;
    input.exact = exact;
    if (!exact) input.funnel = *funnel::ParseFunnel(GetParam().funnel);
    return *funnel::MakePlan(input);
  }
  static std::vector<funnel::Location> Found(const funnel::View& view, const funnel::Plan& plan,
                                             const std::vector<float>& query) {
    const auto output = funnel::Run(view, plan, query, {});
    EXPECT_TRUE(output.ok()) << output.status();
    std::vector<funnel::Location> found;
    for (const funnel::Hit& hit : output->hits) found.push_back(hit.at);
    return found;
  }
  // Of the true nearest `kHits` in `view`.
  double Recall(const funnel::View& view, const funnel::Plan& plan) {
    size_t wanted = 0;
    size_t hit = 0;
    for (const std::vector<float>& query : queries_) {
      const auto truth = Found(view, MakePlan(/*exact=*/true), query);
      const auto found = Found(view, plan, query);
      wanted += truth.size();
      hit += std::count_if(truth.begin(), truth.end(), [&](const funnel::Location& at) {
        return std::find(found.begin(), found.end(), at) != found.end();
      });
    }
    return static_cast<double>(hit) / static_cast<double>(wanted);
  }

  test::TestFolder folder_;
  MemoryAccount account_{uint64_t{1} << 32};
  std::shared_ptr<const Collection> collection_;
  std::vector<std::vector<float>> queries_;
};

TEST_P(FilteredRecall, StaysAtTheUnfilteredRecall) {
  const funnel::Plan plan = MakePlan(/*exact=*/false);
  const double unfiltered = Recall(collection_->view(), plan);
  RecordProperty("unfiltered", absl::StrCat(unfiltered));
  EXPECT_GT(unfiltered, 0.8);
  EXPECT_LT(unfiltered, 1.0) << "nothing could be lost";
  for (const uint32_t per_mille : {1, 10, 100, 500, 900}) {
    const auto expression = filter::ParseExpression(absl::StrCat("share < ", per_mille));
    const auto filter = filter::Filter::Make(*expression, collection_->schema().fields);
    ASSERT_TRUE(filter.ok()) << filter.status();
    const funnel::View view = funnel::Narrow(collection_->view(), *filter);
    ASSERT_GT(view.rows(), 0u);
    const funnel::Plan narrowed = funnel::NarrowPlan(plan, view.schema, view.rows(), kRows);
    const double recall = Recall(view, narrowed);
    RecordProperty(absl::StrCat("per_mille_", per_mille), absl::StrCat(recall));
    EXPECT_GE(recall, unfiltered - 0.005) << per_mille << " per mille: " << narrowed.ToText();
  }
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, FilteredRecall,
    ::testing::Values(
        Kind{"Scan", "16:40,64:10", std::nullopt}, Kind{"Signs", "64b1:150,64:10", std::nullopt},
        Kind{"Hnsw", "faiss(efSearch=40)/16:40,64:10",
             coarse::IndexSpec{.kind = "faiss", .dims = 16, .factory = "HNSW16"}},
        Kind{"Ivf", "faiss(nprobe=4)/16:60,64:10",
             coarse::IndexSpec{.kind = "faiss", .dims = 16, .factory = "IVF64,Flat"}},
        Kind{"Lists", "ivf_scan(nprobe=9)/64b1:200,64:10",
             coarse::IndexSpec{.kind = "ivf_scan", .dims = 64, .lists = 16, .code = {64, 1}}}),
    [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace mrl::collection
