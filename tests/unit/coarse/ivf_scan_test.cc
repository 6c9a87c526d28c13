// Lists of codes against the scan of everything: asked for all lists they agree, asked for few they
// find what lies near.
#include "index/coarse/ivf_scan.h"

#include <algorithm>
#include <atomic>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/coarse/exact_scan.h"
#include "index/coarse/index_spec.h"
#include "tests/unit/coarse/built_index.h"

namespace mrl::coarse {
namespace {

using test::ExpectSameRows;
using test::Find;
using test::Sample;
using test::SampleOptions;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr uint32_t kRows = 6000;
SampleOptions Signs(uint32_t rows = kRows) { return test::Signs(rows); }

class IvfScan : public test::BuiltIndex {
 protected:
  // Over `sample` with lists around its first `dims` dimensions.
  std::shared_ptr<const CoarseIndex> Build(Sample& sample, uint32_t lists, uint32_t dims = 16,
                                           Code code = {48, 1}, uint32_t threads = 2) {
    return BuiltIndex::Build(
        sample, {.kind = "ivf_scan", .dims = dims, .lists = lists, .code = code}, threads);
  }
};

class IvfScanOfBits : public IvfScan, public ::testing::WithParamInterface<uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Bits, IvfScanOfBits, ::testing::Values(1, 2, 4));

TEST_P(IvfScanOfBits, OfAllListsIsTheScan) {
  Sample sample({.rows = kRows, .codes = {{8, 8}, {48, GetParam()}}});
  const auto index = Build(sample, 40, 16, {48, GetParam()});
  const Params all = {{"nprobe", 40}};
  for (const uint32_t dims : {8u, 32u, 48u}) {
    for (uint32_t seed = 0; seed < 20; ++seed) {
      const std::vector<float> query = sample.QueryNear(seed * 101, seed);
      Request request = {.query = query.data(), .dims = dims, .bits = GetParam(), .keep = 50};
      const auto wanted = Find(sample, *sample.scan, request);
      request.params = &all;
      ExpectSameRows(Find(sample, *index, request), wanted);
    }
  }
}

TEST_F(IvfScan, OfAllListsIsTheScanAtStoredPrecisionUnderEveryMetric) {
  for (const Metric metric : {Metric::kCosine, Metric::kInnerProduct, Metric::kL2}) {
    Sample sample({.rows = 3000, .metric = metric, .codes = {{8, 8}, {16, 8}}});
    const auto index = Build(sample, 20, 16, {16, 8});
    const Params all = {{"nprobe", 20}};
    for (const uint32_t dims : sample.schema.ladder) {
      const std::vector<float> query = sample.QueryNear(dims, dims);
      Request request = {.query = query.data(), .dims = dims, .keep = 30};
      const auto wanted = Find(sample, *sample.scan, request);
      request.params = &all;
      ExpectSameRows(Find(sample, *index, request), wanted);
    }
  }
}

TEST_F(IvfScan, ScansBytesUnderEveryMetric) {
  for (const Metric metric : {Metric::kCosine, Metric::kInnerProduct, Metric::kL2}) {
    Sample sample({.rows = 3000, .metric = metric, .codes = {{16, 8}}});
    const auto index = Build(sample, 20, 16, {16, 8});
    const Params all = {{"nprobe", 20}};
    const std::vector<float> query = sample.QueryNear(7, 7);
    const Request request = {
        .query = query.data(), .dims = 16, .bits = 8, .keep = 30, .params = &all};
    const auto found = Find(sample, *index, request);
    ASSERT_THAT(found, SizeIs(30));
    // Blocks hold other rows than the scan's, so their codes differ a little: true scores decide.
    const auto truth = Find(sample, *sample.scan, {.query = query.data(), .dims = 16, .keep = 30});
    std::set<uint32_t> rows;
    for (const Candidate& candidate : truth) rows.insert(candidate.row);
    const auto hits = std::count_if(found.begin(), found.end(),
                                    [&](const Candidate& c) { return rows.count(c.row) > 0; });
    EXPECT_GE(hits, 27) << ToString(metric);
  }
}

TEST_F(IvfScan, FindsNearRowsInFewLists) {
  Sample sample(Signs());
  const auto index = Build(sample, 40);
  const Params few = {{"nprobe", 8}};
  size_t hits = 0;
  uint64_t scanned = 0;
  for (uint32_t seed = 0; seed < 50; ++seed) {
    const std::vector<float> query = sample.QueryNear(seed * 97, seed);
    const Request exact = {.query = query.data(), .dims = 48, .keep = 10};
    const auto truth = Find(sample, *sample.scan, exact);
    Request request = exact;
    request.params = &few;
    const auto result = index->Search(request);
    ASSERT_TRUE(result.ok()) << result.status();
    scanned += result->rows_scanned;
    hits += test::CountFound(result->candidates, truth);
  }
  EXPECT_GE(hits, 450u);                    // of 500
  EXPECT_LE(scanned, 50u * kRows * 2 / 5);  // a fifth of the lists, if they were alike
  EXPECT_GT(scanned, 0u);
}

TEST_F(IvfScan, TakesShorterPrefixesOfTheCentresAtQueryTime) {
  Sample sample(Signs());
  const auto index = Build(sample, 40, 32);
  const std::vector<float> query = sample.QueryNear(11, 3);
  const Params all = {{"nprobe", 40}, {"cluster_dims", 8}};
  const Params few = {{"nprobe", 4}, {"cluster_dims", 8}};
  Request request = {.query = query.data(), .dims = 48, .bits = 1, .keep = 20};
  const auto wanted = Find(sample, *sample.scan, request);
  request.params = &all;
  ExpectSameRows(Find(sample, *index, request), wanted);
  request.params = &few;
  const auto narrow = index->Search(request);
  ASSERT_TRUE(narrow.ok()) << narrow.status();
  EXPECT_THAT(narrow->candidates, SizeIs(20));
  EXPECT_LT(narrow->rows_scanned, kRows / 3);
}

TEST_F(IvfScan, KeepsToTheAllowedRows) {
  Sample sample(Signs());
  const auto index = Build(sample, 40);
  const std::vector<uint64_t> allowed = test::EveryThird(kRows);
  const Params all = {{"nprobe", 40}};
  const std::vector<float> query = sample.QueryNear(5, 9);
  for (const uint32_t bits : {0u, 1u}) {
    Request request = {
        .query = query.data(), .dims = 48, .bits = bits, .keep = 60, .allowed = allowed.data()};
    const auto wanted = Find(sample, *sample.scan, request);
    request.params = &all;
    ExpectSameRows(Find(sample, *index, request), wanted);
    EXPECT_EQ(index->Search(request)->rows_scanned, kRows / 3);
  }
}

TEST_F(IvfScan, CutsEqualScoresByRow) {
  Sample sample(test::TiedRows());
  const auto index = Build(sample, 5);
  const Params all = {{"nprobe", 5}};
  const std::vector<float> query = sample.QueryNear(4, 2);
  Request request = {.query = query.data(), .dims = 48, .bits = 1, .keep = 7};
  const auto wanted = Find(sample, *sample.scan, request);
  request.params = &all;
  ExpectSameRows(Find(sample, *index, request), wanted);
}

TEST_F(IvfScan, MakesTheSameFileOnAnyNumberOfThreads) {
  Sample sample(Signs(3000));
  Build(sample, 20, 16, {48, 1}, 1);
  Build(sample, 20, 16, {48, 1}, 3);
  const auto one = ReadFile(FileSystem::Posix(), PathOf(sample, 0), test::kIndexFileMax);
  const auto three = ReadFile(FileSystem::Posix(), PathOf(sample, 1), test::kIndexFileMax);
  ASSERT_TRUE(one.ok() && three.ok());
  // The header's own uuid differs; everything behind the first page does not.
  ASSERT_EQ(one->size(), three->size());
  EXPECT_EQ(one->substr(4096), three->substr(4096));
}

TEST_F(IvfScan, WorksOnAHandfulOfRows) {
  for (const uint32_t rows : {1u, 2u, 63u, 65u, 130u}) {
    Sample sample(Signs(rows));
    const auto index = Build(sample, 1000);
    const std::vector<float> query = sample.QueryNear(0, 1);
    const auto found = Find(sample, *index, {.query = query.data(), .dims = 48, .keep = 500});
    EXPECT_THAT(found, SizeIs(::testing::Le(rows)));
    EXPECT_FALSE(found.empty());
  }
}

TEST_F(IvfScan, RefusesWhatItDoesNotHave) {
  Sample sample(Signs(1000));
  const auto index = Build(sample, 10, 16, {32, 1});
  const std::vector<float> query = sample.QueryNear(0, 1);
  EXPECT_THAT(Refusal(*index, {.query = query.data(), .dims = 48, .bits = 1, .keep = 5}),
              HasSubstr("asked for 48b1, the lists hold 32b1"));
  EXPECT_THAT(Refusal(*index, {.query = query.data(), .dims = 9, .keep = 5}),
              HasSubstr("9 dims are not on the ladder 8,16,32,48"));
  EXPECT_THAT(Refusal(*index, {.query = query.data(), .dims = 8, .keep = 0}),
              HasSubstr("keep is 0"));
  for (const auto& [params, message] : std::vector<std::pair<Params, std::string>>{
           {{{"nprobe", 0}}, "nprobe is 0, it is a whole number from 1 to 10"},
           {{{"nprobe", 11}}, "nprobe is 11, it is a whole number from 1 to 10"},
           {{{"nprobe", 1.5}}, "nprobe is 1.5"},
           {{{"cluster_dims", 32}}, "cluster_dims is 32, it is a whole number from 1 to 16"},
           {{{"cluster_dims", 9}}, "cluster_dims is 9, the ladder is 8,16,32,48"},
           {{{"efSearch", 9}}, "unknown parameter `efSearch`"}}) {
    EXPECT_THAT(Refusal(*index, {.query = query.data(), .dims = 8, .keep = 5, .params = &params}),
                HasSubstr(message));
  }
}

TEST_F(IvfScan, StopsWhenAsked) {
  Sample sample(Signs(1000));
  const auto index = Build(sample, 10);
  const std::vector<float> query = sample.QueryNear(0, 1);
  for (const uint32_t bits : {0u, 1u}) {
    const auto result =
        index->Search({.query = query.data(), .dims = 48, .bits = bits, .keep = 5, .stopped = [] {
                         return true;
                       }});
    EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
  }
}

TEST_F(IvfScan, ABuildThatIsStoppedLeavesNoFile) {
  const Sample sample(Signs(3000));
  for (const int calls_max : {0, 3, 400}) {
    std::atomic<int> calls = 0;
    const std::string path = sample.PathOf("stopped.idx");
    const absl::Status stopped =
        BuildIndex(FileSystem::Posix(), path, *sample.segment,
                   {.kind = "ivf_scan", .dims = 16, .lists = 20, .code = {48, 1}},
                   {.threads = 2, .stopped = [&] { return calls++ >= calls_max; }});
    EXPECT_EQ(stopped.code(), absl::StatusCode::kCancelled) << stopped;
    EXPECT_GT(calls, calls_max);
    EXPECT_FALSE(FileSystem::Posix().Exists(path));
  }
}

TEST_F(IvfScan, SaysBeforeWhatItWillTake) {
  Sample sample(Signs());
  const auto index = Build(sample, 40);
  const uint64_t expected = ExpectedMemoryBytes(
      sample.schema, {.kind = "ivf_scan", .dims = 16, .lists = 40, .code = {48, 1}}, kRows);
  EXPECT_NEAR(static_cast<double>(expected), static_cast<double>(index->memory_bytes()),
              0.15 * static_cast<double>(index->memory_bytes()));
}

TEST_F(IvfScan, SpecsAreCheckedAgainstTheSchema) {
  const Sample sample(Signs(100));
  const auto refusal = [&](IndexSpec spec) {
    const absl::Status status = spec.Validate(sample.schema);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_THAT(refusal({.kind = "ivf", .dims = 8}), HasSubstr("the coarse kind `ivf`"));
  EXPECT_THAT(refusal({.kind = "ivf_scan", .dims = 9, .code = {48, 1}}),
              HasSubstr("9 dims are not on the ladder"));
  EXPECT_THAT(refusal({.kind = "ivf_scan", .dims = 8, .code = {16, 8}}),
              HasSubstr("the code 16b8 is not stored, these are: 8b8,48b1"));
  EXPECT_THAT(refusal({.kind = "ivf_scan", .dims = 8, .lists = 1u << 21, .code = {48, 1}}),
              HasSubstr("2097152 lists, the limit is 1048576"));
  EXPECT_THAT(refusal({.kind = "faiss", .dims = 8, .factory = ""}), HasSubstr("0 bytes"));
  const IndexSpec filled = WithDefaults({.kind = "ivf_scan"}, sample.schema);
  EXPECT_EQ(filled, (IndexSpec{.kind = "ivf_scan", .dims = 48, .code = {48, 1}}));
}

TEST_F(IvfScan, FilesWithAChangedByteAreRefused) {
  Sample sample(Signs(700));
  Build(sample, 7);
  EXPECT_GE(RefusalsOfChangedBytes(sample, PathOf(sample, 0), "ivf_scan"),
            7);  // header and six sections
}

}  // namespace
}  // namespace mrl::coarse
