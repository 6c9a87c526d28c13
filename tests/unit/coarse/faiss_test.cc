#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/coarse/faiss_dims.h"
#include "index/coarse/index_spec.h"
#include "index/format/section_file.h"
#include "tests/unit/coarse/sample.h"

namespace mrl::coarse {
namespace {

using test::Find;
using test::Sample;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr uint64_t kFileMax = uint64_t{64} << 20;

std::unique_ptr<CoarseIndex> Build(Sample& sample, const std::string& factory, uint32_t dims) {
  FileSystem& files = FileSystem::Posix();
  const std::string path = sample.PathOf("000001.faiss.idx");
  const absl::Status built = BuildFaiss(files, path, *sample.segment, {factory, dims});
  EXPECT_TRUE(built.ok()) << built;
  auto opened = OpenFaiss(files, path, sample.segment, sample.account);
  EXPECT_TRUE(opened.ok()) << opened.status();
  return opened.ok() ? *std::move(opened) : nullptr;
}

// Mean share of the prefix's exact best 10 that `index` finds.
double Recall(const Sample& sample, const CoarseIndex& index, const Params& params) {
  size_t hits = 0;
  for (uint32_t seed = 0; seed < 20; ++seed) {
    const std::vector<float> query = sample.QueryNear(97 * seed, seed);
    const Request request = {
        .query = query.data(), .dims = index.dims(), .keep = 10, .params = &params};
    absl::flat_hash_set<uint32_t> found;
    for (const Candidate& candidate : Find(sample, index, request)) found.insert(candidate.row);
    const auto truth =
        Find(sample, *sample.scan, {.query = query.data(), .dims = index.dims(), .keep = 10});
    for (const Candidate& candidate : truth) hits += found.count(candidate.row);
  }
  return static_cast<double>(hits) / 200;
}

TEST(FaissThreads, TrainAndFillWhatOneThreadDoes) {
  Sample sample({.rows = 3000});
  FileSystem& files = FileSystem::Posix();
  for (const std::string factory : {"Flat", "IVF16,Flat", "HNSW16"}) {
    const std::string path = sample.PathOf("threads.idx");
    const FaissOptions options = {.factory = factory, .dims = 16, .threads = 3};
    ASSERT_TRUE(BuildFaiss(files, path, *sample.segment, options).ok());
    const auto index = OpenFaiss(files, path, sample.segment, sample.account);
    ASSERT_TRUE(index.ok()) << index.status();
    const double recall =
        Recall(sample, **index, factory[0] == 'I' ? Params{{"nprobe", 16}} : Params{});
    EXPECT_GE(recall, factory == "HNSW16" ? 0.9 : 0.99) << factory;
    ASSERT_TRUE(files.Remove(path).ok());
  }
}

class FaissFlat : public ::testing::TestWithParam<Metric> {};
INSTANTIATE_TEST_SUITE_P(Metrics, FaissFlat,
                         ::testing::Values(Metric::kCosine, Metric::kInnerProduct, Metric::kL2));

TEST_P(FaissFlat, AgreesWithTheExactScanOfItsPrefix) {
  Sample sample({.rows = 1500, .metric = GetParam()});
  const auto index = Build(sample, "Flat", 16);
  ASSERT_NE(index, nullptr);
  EXPECT_EQ(index->Describe(), "faiss Flat on 16 dims");
  EXPECT_EQ(index->kind(), "faiss");
  const std::vector<float> query = sample.QueryNear(33, 1);
  const auto found = Find(sample, *index, {.query = query.data(), .dims = 16, .keep = 25});
  const auto truth = Find(sample, *sample.scan, {.query = query.data(), .dims = 16, .keep = 25});
  ASSERT_THAT(found, SizeIs(25));
  for (size_t i = 0; i < 25; ++i) {
    EXPECT_EQ(found[i].row, truth[i].row) << i;
    EXPECT_NEAR(found[i].score, truth[i].score, 1e-4 * (1 + std::abs(truth[i].score))) << i;
  }
}

TEST_P(FaissFlat, FindsAmongAllowedRowsOnly) {
  Sample sample({.rows = 500, .metric = GetParam()});
  std::vector<uint64_t> allowed(8, 0x1111111111111111);
  const std::vector<float> query = sample.QueryNear(33, 1);
  for (const std::string factory : {"Flat", "HNSW16", "IVF4,Flat", "PCA8,Flat", "SQ8"}) {
    const auto index = Build(sample, factory, 16);
    ASSERT_NE(index, nullptr);
    const auto found = Find(
        sample, *index, {.query = query.data(), .dims = 16, .keep = 10, .allowed = allowed.data()});
    EXPECT_THAT(found, SizeIs(10)) << factory;
    for (const Candidate& candidate : found) EXPECT_EQ(candidate.row % 4, 0) << factory;
  }
}

TEST(Faiss, FindsMoreWithMoreEffort) {
  Sample sample({.rows = 4000});
  const auto lists = Build(sample, "IVF32,Flat", 32);
  ASSERT_NE(lists, nullptr);
  EXPECT_DOUBLE_EQ(Recall(sample, *lists, {{"nprobe", 32}}), 1.0);
  EXPECT_GT(Recall(sample, *lists, {{"nprobe", 8}}), 0.7);
  EXPECT_LE(Recall(sample, *lists, {{"nprobe", 1}}), Recall(sample, *lists, {{"nprobe", 8}}));
  const auto graph = Build(sample, "HNSW16", 32);
  ASSERT_NE(graph, nullptr);
  EXPECT_GT(Recall(sample, *graph, {{"efSearch", 200}}), 0.95);
}

// Unit vectors by their distance, and by signs of their rotated dimensions.
TEST(Faiss, ScoresOfIndexesForDistancesAreCosines) {
  Sample sample({.rows = 600});
  const std::vector<float> query = sample.QueryNear(33, 1);
  using Case = std::tuple<const char*, uint32_t, double>;
  for (const auto& [factory, dims, error] : {Case("HNSW16_PQ8", 8, 0.02), Case("LSHr", 48, 0.3)}) {
    const auto index = Build(sample, factory, dims);
    ASSERT_NE(index, nullptr);
    const auto found = Find(sample, *index, {.query = query.data(), .dims = dims, .keep = 300});
    ASSERT_THAT(found, SizeIs(300)) << factory;
    double errors = 0;
    for (const Candidate& candidate : found) {
      EXPECT_LE(std::abs(candidate.score), 1) << factory;
      errors += std::abs(candidate.score - sample.Reference(query.data(), candidate.row, dims));
    }
    EXPECT_LE(errors / 300, error) << factory;
  }
}

// Normal values in `dims` dimensions, and next to nothing in those after them.
std::function<void(std::vector<float>&)> InFirst(size_t dims) {
  return [dims](std::vector<float>& vectors) {
    constexpr size_t kDim = 48;
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    for (size_t i = 0; i < vectors.size(); ++i) {
      vectors[i] = (i % kDim < dims ? 1.0F : 0.001F) * normal(random);
    }
  };
}

// Eight bytes hold eight dimensions nearly exactly, and a longer prefix roughly: which is better is
// a matter of what the longer one adds.
TEST(FaissDims, AreThoseThatFindMostWithSoManyBytes) {
  const Sample all_equal({.rows = 1000, .edit = InFirst(48)});
  const Sample first_alone({.rows = 1000, .edit = InFirst(8)});
  for (const std::string factory : {"PQ8", "OPQ8,PQ8"}) {
    const auto longest = ChooseFaissDims(*all_equal.segment, factory, {});
    const auto shortest = ChooseFaissDims(*first_alone.segment, factory, {});
    ASSERT_TRUE(longest.ok() && shortest.ok()) << longest.status() << shortest.status();
    EXPECT_EQ(*longest, 48) << factory;
    EXPECT_EQ(*shortest, 8) << factory;
  }
}

// 16 parts are in no prefix of 8 dimensions, but where OPQ makes 32 of them first.
TEST(FaissDims, AreOfTheStepsThatHoldTheQuantiser) {
  for (const Metric metric : {Metric::kCosine, Metric::kInnerProduct, Metric::kL2}) {
    const Sample sample({.rows = 600, .metric = metric, .edit = InFirst(8)});
    const auto parts = ChooseFaissDims(*sample.segment, "PQ16x4", {});
    ASSERT_TRUE(parts.ok()) << parts.status();
    EXPECT_EQ(*parts, 16);  // of those that are left the one with the least beside the first eight
    const auto rotated = ChooseFaissDims(*sample.segment, "OPQ16_32,PQ16x4", {});
    ASSERT_TRUE(rotated.ok()) << rotated.status();
    EXPECT_NE(sample.schema.LevelOf(*rotated), -1);
  }
}

TEST(FaissDims, AreLeftOutForProductQuantisersOnly) {
  for (const char* factory : {"PQ8", "OPQ8,PQ8", "OPQ8_32,IVF4,PQ8x4fs", "HNSW16_PQ8"}) {
    EXPECT_TRUE(HasProductQuantiser(factory)) << factory;
  }
  for (const char* factory : {"Flat", "HNSW16", "IVF4,SQ8", "RR16,Flat", ""}) {
    EXPECT_FALSE(HasProductQuantiser(factory)) << factory;
  }
  const Sample sample({.rows = 400});
  const auto asked = [&](const char* factory) {
    return IndexSpec{.kind = "faiss", .factory = factory}.ValidateAsked(sample.schema);
  };
  EXPECT_TRUE(asked("OPQ8,PQ8").ok());
  EXPECT_THAT(std::string(asked("HNSW16").message()), HasSubstr("0 dims are not on the ladder"));
  // A part of 7 dimensions is in no step of 8, 16, 32, 48.
  EXPECT_EQ(ChooseFaissDims(*sample.segment, "PQ7", {}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(
      ChooseFaissDims(*sample.segment, "PQ8", {.stopped = [] { return true; }}).status().code(),
      absl::StatusCode::kCancelled);
}

TEST(Faiss, ReturnsKeepRowsFromAGraphWithAShortSearchList) {
  Sample sample({.rows = 2000});
  const auto graph = Build(sample, "HNSW16", 16);
  ASSERT_NE(graph, nullptr);
  const std::vector<float> query = sample.QueryNear(33, 1);
  const Params params = {{"efSearch", 4}};
  EXPECT_THAT(
      Find(sample, *graph, {.query = query.data(), .dims = 16, .keep = 100, .params = &params}),
      SizeIs(100));
}

TEST(Faiss, RefusesParametersItDoesNotKnow) {
  Sample sample({.rows = 500});
  const std::vector<float> query = sample.QueryNear(33, 1);
  const auto refusal = [&](const CoarseIndex& index, const Params& params) {
    const absl::Status status =
        index.Search({.query = query.data(), .dims = 16, .keep = 5, .params = &params}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  const auto lists = Build(sample, "IVF4,Flat", 16);
  EXPECT_THAT(refusal(*lists, {{"efSearch", 4}}),
              HasSubstr("unknown parameter `efSearch`, this index takes: nprobe"));
  EXPECT_THAT(refusal(*lists, {{"nprobe", 0}}), HasSubstr("nprobe is 0"));
  EXPECT_THAT(refusal(*lists, {{"nprobe", 1.5}}), HasSubstr("nprobe is 1.5"));
  const auto flat = Build(sample, "Flat", 16);
  EXPECT_THAT(refusal(*flat, {{"nprobe", 4}}), HasSubstr("this index takes: none"));
}

TEST(Faiss, RefusesAFactoryStringInFaisssWords) {
  const Sample sample({.rows = 100});
  const auto build = [&](const std::string& factory, uint32_t dims) {
    return BuildFaiss(FileSystem::Posix(), sample.PathOf("x.idx"), *sample.segment,
                      {factory, dims});
  };
  const absl::Status unknown = build("Bogus7", 16);
  EXPECT_EQ(unknown.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(unknown.message()), HasSubstr("Bogus7"));
  EXPECT_EQ(build("OPQ3,PQ2", 16).code(), absl::StatusCode::kInvalidArgument);  // 3 parts of 16
  const absl::Status too_few = build("IVF256,Flat", 16);
  EXPECT_EQ(too_few.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(too_few.message()), HasSubstr("training"));
  const absl::Status off = build("Flat", 17);
  EXPECT_EQ(off.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(off.message()), HasSubstr("17 dims are not on the ladder"));
  EXPECT_FALSE(FileSystem::Posix().Exists(sample.PathOf("x.idx")));
}

TEST(Faiss, SearchesItsOwnPrefixOnly) {
  Sample sample({.rows = 100});
  const auto flat = Build(sample, "Flat", 16);
  const std::vector<float> query = sample.QueryNear(33, 1);
  const absl::Status dims = flat->Search({.query = query.data(), .dims = 32, .keep = 5}).status();
  EXPECT_EQ(dims.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(dims.message()), HasSubstr("32 dims, this index searches 16"));
  EXPECT_THAT(Find(sample, *flat, {.query = query.data(), .dims = 16, .keep = 500}), SizeIs(100));
}

TEST(Faiss, RefusesDamagedBytesBeforeFaissSeesThem) {
  Sample sample({.rows = 300});
  ASSERT_NE(Build(sample, "HNSW8", 16), nullptr);
  FileSystem& files = FileSystem::Posix();
  auto bytes = ReadFile(files, sample.PathOf("000001.faiss.idx"), kFileMax);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  for (size_t at : {bytes->size() / 4, bytes->size() / 2}) {
    std::string damaged = *bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    const std::string path = sample.PathOf("damaged." + std::to_string(at));
    auto file = files.Create(path);
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE(
        (*file)
            ->WriteAt(0, {reinterpret_cast<const std::byte*>(damaged.data()), damaged.size()})
            .ok());
    ASSERT_TRUE((*file)->Close().ok());
    const absl::Status status = OpenFaiss(files, path, sample.segment, sample.account).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    // FAISS's own complaints begin with its name: it was never asked.
    EXPECT_THAT(std::string(status.message()), ::testing::Not(HasSubstr("faiss: ")));
  }
}

TEST(Faiss, RefusesAFileOfAnotherSegment) {
  Sample sample({.rows = 100});
  Sample other({.rows = 100});
  ASSERT_NE(Build(other, "Flat", 16), nullptr);
  const absl::Status status = OpenFaiss(FileSystem::Posix(), other.PathOf("000001.faiss.idx"),
                                        sample.segment, sample.account)
                                  .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("belongs to segment"));
}

}  // namespace
}  // namespace mrl::coarse
