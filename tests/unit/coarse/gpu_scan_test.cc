// Kind `gpu_scan` on the host launcher against the CPU's `scan`: the whole path but CUDA itself.
// Estimates must agree to the bit, so the rows do too, whatever ties.
#include "index/coarse/gpu/gpu_scan.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/coarse/on_gpu.h"

namespace mrl::coarse {
namespace {

using test::ByRow;
using test::ExpectFunnel;
using test::ExpectSame;
using test::ExpectSameStored;
using test::OnGpu;
using test::Sample;
using test::SampleOptions;
using test::ThreadOrder;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<uint64_t> EveryThird(uint32_t rows) {
  std::vector<uint64_t> bits((rows + 63) / 64);
  for (uint32_t row = 0; row < rows; row += 3) bits[row / 64] |= uint64_t{1} << (row % 64);
  return bits;
}

struct Shape {
  uint32_t rows;
  ThreadOrder order;
  uint32_t blocks;  // of the grid
};
class GpuScanShapes : public ::testing::TestWithParam<Shape> {};
// Around blocks of 64 rows and groups of 8 warps; with and without a sample for thresholds.
INSTANTIATE_TEST_SUITE_P(
    Gpu, GpuScanShapes,
    ::testing::Values(Shape{1, ThreadOrder::kForward, 1}, Shape{2, ThreadOrder::kBackward, 2},
                      Shape{63, ThreadOrder::kForward, 3}, Shape{64, ThreadOrder::kShuffled, 7},
                      Shape{65, ThreadOrder::kBackward, 64}, Shape{511, ThreadOrder::kForward, 2},
                      Shape{513, ThreadOrder::kShuffled, 1}, Shape{513, ThreadOrder::kForward, 64},
                      Shape{8191, ThreadOrder::kForward, 7}, Shape{8191, ThreadOrder::kBackward, 1},
                      Shape{20'001, ThreadOrder::kShuffled, 3},
                      Shape{20'001, ThreadOrder::kForward, 64},
                      Shape{50'003, ThreadOrder::kBackward, 7}));

TEST_P(GpuScanShapes, FindsWhatTheCpuFindsByEveryCode) {
  const Sample sample({.rows = GetParam().rows,
                       .ladder = {2, 8, 19, 48, 100},
                       .codes = {{2, 8}, {19, 8}, {48, 8}, {100, 1}, {100, 2}, {100, 4}}});
  const OnGpu gpu(sample, {.order = GetParam().order, .blocks = GetParam().blocks});
  const std::vector<uint64_t> thirds = EveryThird(GetParam().rows);
  const std::vector<float> query = sample.QueryNear(GetParam().rows / 2, 5);
  for (const Code code : std::vector<Code>{{2, 8},
                                           {19, 8},
                                           {48, 8},
                                           {2, 1},
                                           {48, 1},
                                           {100, 1},
                                           {19, 2},
                                           {100, 2},
                                           {8, 4},
                                           {100, 4}}) {
    for (const uint32_t keep : {1U, 10U, 1000U}) {
      for (const uint64_t* allowed : {static_cast<const uint64_t*>(nullptr), thirds.data()}) {
        ExpectSame(sample, *gpu.index,
                   {.query = query.data(),
                    .dims = code.dims,
                    .bits = code.bits,
                    .keep = keep,
                    .allowed = allowed});
      }
    }
  }
}

class GpuScanMetrics : public ::testing::TestWithParam<std::tuple<Metric, StorageType>> {
 protected:
  SampleOptions options(uint32_t rows) const {
    return {.rows = rows, .metric = std::get<0>(GetParam()), .storage = std::get<1>(GetParam())};
  }
};
INSTANTIATE_TEST_SUITE_P(
    Gpu, GpuScanMetrics,
    ::testing::Combine(::testing::Values(Metric::kCosine, Metric::kInnerProduct, Metric::kL2),
                       ::testing::Values(StorageType::kF32, StorageType::kF16)));

TEST_P(GpuScanMetrics, FindsTheSameByInt8Estimates) {
  const Sample sample(options(20'000));
  const OnGpu gpu(sample);
  for (uint32_t seed = 0; seed < 5; ++seed) {
    const std::vector<float> query = sample.QueryNear(seed * 91, seed);
    for (const uint32_t dims : {8U, 16U, 32U}) {
      ExpectSame(sample, *gpu.index, {.query = query.data(), .dims = dims, .bits = 8, .keep = 100});
    }
  }
}

TEST_P(GpuScanMetrics, FindsTheExactBestOfStoredValuesByBounds) {
  const Sample sample(options(20'000));
  const OnGpu gpu(sample);
  const std::vector<uint64_t> thirds = EveryThird(20'000);
  for (uint32_t seed = 0; seed < 5; ++seed) {
    const std::vector<float> query = sample.QueryNear(seed * 91, seed);
    for (const uint32_t dims : {8U, 16U, 32U}) {
      ExpectSameStored(sample, *gpu.index, {.query = query.data(), .dims = dims, .keep = 50});
      ExpectSameStored(sample, *gpu.index,
                       {.query = query.data(), .dims = dims, .keep = 7, .allowed = thirds.data()});
    }
  }
}

TEST_P(GpuScanMetrics, RunsEveryStageOfAFunnel) {
  const Sample sample(options(20'000));
  const OnGpu gpu(sample);
  ExpectFunnel(sample, *gpu.index, {{8, 8, 500}, {16, 0, 200}, {32, 0, 60}, {48, 0, 10}}, 4);
  ExpectFunnel(sample, *gpu.index, {{8, 0, 300}, {48, 0, 10}}, 2);
  ExpectFunnel(sample, *gpu.index, {{8, 8, 500}, {16, 8, 100}, {32, 8, 50}, {48, 0, 10}}, 4);
}

TEST(GpuScan, LeavesStoredPrecisionOfBf16AndInt8ToTheCpu) {
  for (const StorageType storage : {StorageType::kBf16, StorageType::kInt8}) {
    const Sample sample({.rows = 20'000, .storage = storage});
    const OnGpu gpu(sample);
    ExpectFunnel(sample, *gpu.index, {{8, 8, 500}, {32, 8, 200}, {48, 0, 10}}, 2);
    const std::vector<float> query = sample.QueryNear(91, 2);
    ExpectSameStored(sample, *gpu.index, {.query = query.data(), .dims = 16, .keep = 50});
  }
}

TEST(GpuScan, ClimbsTheBitsOfAFunnel) {
  const Sample sample({.rows = 30'000, .ladder = {16, 64, 200}, .codes = {{200, 1}, {200, 4}}});
  for (const ThreadOrder order : {ThreadOrder::kForward, ThreadOrder::kShuffled}) {
    const OnGpu gpu(sample, {.order = order});
    ExpectFunnel(sample, *gpu.index, {{16, 1, 4000}, {200, 1, 300}, {200, 0, 10}}, 3);
    ExpectFunnel(sample, *gpu.index, {{64, 1, 1000}, {64, 4, 500}, {200, 4, 100}, {200, 0, 10}}, 4);
  }
}

TEST(GpuScan, AnswersManyQueriesAtOnceAsEachAlone) {
  const Sample sample({.rows = 9000, .ladder = {8, 16, 48}, .codes = {{8, 8}, {48, 1}}});
  const OnGpu gpu(sample);
  for (const size_t count : {2U, 4U, 5U, 16U, 33U}) {
    std::vector<std::vector<float>> queries;
    std::vector<Request> bits;
    std::vector<Request> stored;
    for (uint32_t i = 0; i < count; ++i) queries.push_back(sample.QueryNear(i * 31, i));
    for (const auto& query : queries) {
      bits.push_back({.query = query.data(), .dims = 48, .bits = 1, .keep = 20});
      stored.push_back({.query = query.data(), .dims = 8, .keep = 20});
    }
    for (const auto& tile : {bits, stored}) {
      const Results together = gpu.index->SearchTile(tile);
      ASSERT_EQ(together.size(), count);
      for (size_t i = 0; i < count; ++i) {
        const auto alone = gpu.index->Search(tile[i]);
        ASSERT_TRUE(together[i].ok() && alone.ok());
        EXPECT_EQ(ByRow(*together[i]), ByRow(*alone));
      }
    }
  }
}

// The most words that codes of a usual length have, in tiles that do not divide the batch.
TEST(GpuScan, ScansLongCodesForManyQueries) {
  const Sample sample({.rows = 3000, .ladder = {64, 1024}, .codes = {{1024, 4}}});
  for (const uint32_t blocks : {1U, 7U}) {
    const OnGpu gpu(sample, {.order = ThreadOrder::kShuffled, .blocks = blocks});
    std::vector<std::vector<float>> queries;
    std::vector<Request> requests;
    for (uint32_t i = 0; i < 33; ++i) queries.push_back(sample.QueryNear(i * 31, i));
    for (const auto& query : queries) {
      requests.push_back({.query = query.data(), .dims = 1024, .bits = 4, .keep = 20});
    }
    const Results together = gpu.index->SearchTile(requests);
    for (size_t i = 0; i < requests.size(); ++i) {
      const auto cpu = sample.scan->Search(requests[i]);
      ASSERT_TRUE(together[i].ok() && cpu.ok());
      EXPECT_EQ(ByRow(*together[i]), ByRow(*cpu)) << i;
    }
    EXPECT_GT(gpu.host[0]->scans(), 0);
  }
}

// Rows whose order defeats the sample: what is near lies where no sampled block is, or everywhere.
struct Order {
  const char* name;
  std::function<void(std::vector<float>&)> edit;
};
void SortByFirst(std::vector<float>& vectors) {
  std::vector<std::array<float, 48>> rows(vectors.size() / 48);
  std::memcpy(rows.data(), vectors.data(), vectors.size() * sizeof(float));
  std::sort(rows.begin(), rows.end());
  std::memcpy(vectors.data(), rows.data(), vectors.size() * sizeof(float));
}
void MakeAllEqual(std::vector<float>& vectors) {
  for (size_t i = 48; i < vectors.size(); ++i) vectors[i] = vectors[i % 48];
}
void MakeHalfEqual(std::vector<float>& vectors) {
  for (size_t i = vectors.size() / 2 / 48 * 48; i < vectors.size(); ++i)
    vectors[i] = vectors[i % 48];
}
void MakeNearRowsFirst(std::vector<float>& vectors) {
  for (size_t i = 48; i < size_t{3000} * 48; ++i) {
    vectors[i] = vectors[i % 48] * (1 + static_cast<float>(i % 7) * 1e-3F);
  }
}
class GpuScanOrders : public ::testing::TestWithParam<Order> {};
INSTANTIATE_TEST_SUITE_P(Gpu, GpuScanOrders,
                         ::testing::Values(Order{"Sorted", SortByFirst},
                                           Order{"AllEqual", MakeAllEqual},
                                           Order{"HalfEqual", MakeHalfEqual},
                                           Order{"NearFirst", MakeNearRowsFirst}),
                         [](const auto& order) { return order.param.name; });

TEST_P(GpuScanOrders, IsExactWhateverTheOrderOfRows) {
  const Sample sample({.rows = 60'000, .codes = {{8, 8}, {48, 1}}, .edit = GetParam().edit});
  const OnGpu gpu(sample);
  const std::vector<uint64_t> thirds = EveryThird(60'000);
  for (const uint32_t near : {0U, 59'999U}) {
    const std::vector<float> query = sample.QueryNear(near, 2);
    for (const uint32_t keep : {1U, 100U, 5000U}) {
      for (const uint64_t* allowed : {static_cast<const uint64_t*>(nullptr), thirds.data()}) {
        ExpectSame(
            sample, *gpu.index,
            {.query = query.data(), .dims = 48, .bits = 1, .keep = keep, .allowed = allowed});
        ExpectSame(sample, *gpu.index,
                   {.query = query.data(), .dims = 8, .bits = 8, .keep = keep, .allowed = allowed});
        ExpectSameStored(sample, *gpu.index,
                         {.query = query.data(), .dims = 8, .keep = keep, .allowed = allowed});
      }
    }
  }
}

TEST(GpuScan, FindsTheFewRowsThatAFilterLeaves) {
  const Sample sample({.rows = 60'000, .codes = {{8, 8}, {48, 1}}});
  const OnGpu gpu(sample);
  const std::vector<float> query = sample.QueryNear(1, 2);
  for (const std::vector<uint32_t>& rows :
       std::vector<std::vector<uint32_t>>{{}, {0}, {59'999}, {63, 64, 30'000}}) {
    std::vector<uint64_t> allowed((60'000 + 63) / 64);
    for (const uint32_t row : rows) allowed[row / 64] |= uint64_t{1} << (row % 64);
    for (const uint32_t bits : {0U, 8U}) {
      const auto result = gpu.index->Search(
          {.query = query.data(), .dims = 8, .bits = bits, .keep = 10, .allowed = allowed.data()});
      ASSERT_TRUE(result.ok()) << result.status();
      EXPECT_EQ(result->candidates.size(), rows.size());
      EXPECT_EQ(result->rows_scanned, rows.size());
    }
  }
}

TEST(GpuScan, LeavesToTheCpuWhatItsCodesDoNotServe) {
  const Sample sample({.rows = 1000, .codes = {{48, 1}}});
  const OnGpu gpu(sample);
  const std::vector<float> query = sample.QueryNear(1, 2);
  const std::vector<LaterStage> later = {{48, 0, 5}};
  const auto result = gpu.index->Search(
      {.query = query.data(), .dims = 16, .keep = 50, .later = later});  // no 16b8
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->candidates, SizeIs(50));
  EXPECT_THAT(result->later, IsEmpty());
  EXPECT_EQ(gpu.host[0]->scans(), 0);
}

TEST(GpuScan, RefusesWhatScanRefuses) {
  const Sample sample({.rows = 1000});
  const OnGpu gpu(sample);
  const std::vector<float> query = sample.QueryNear(1, 2);
  const Params params = {{"nprobe", 3}};
  for (const Request& request : std::vector<Request>{
           {.query = query.data(), .dims = 9, .bits = 8, .keep = 5},
           {.query = query.data(), .dims = 8, .bits = 4, .keep = 5},
           {.query = query.data(), .dims = 8, .bits = 8, .keep = 0},
           {.query = query.data(), .dims = 8, .bits = 8, .keep = 5, .params = &params}}) {
    EXPECT_EQ(gpu.index->Search(request).status(), sample.scan->Search(request).status());
    EXPECT_EQ(gpu.index->Search(request).status().code(), absl::StatusCode::kInvalidArgument);
  }
  const auto stopped = gpu.index->Search(
      {.query = query.data(), .dims = 8, .bits = 8, .keep = 5, .stopped = [] { return true; }});
  EXPECT_EQ(stopped.status().code(), absl::StatusCode::kCancelled);
}

TEST(GpuScan, LeavesQueriesOfExtremeMagnitudeToTheCpu) {
  const Sample sample({.rows = 3000, .metric = Metric::kInnerProduct});
  const OnGpu gpu(sample);
  std::vector<float> query = sample.QueryNear(1, 2);
  for (float& value : query) value *= 1e-35F;
  ExpectSameStored(sample, *gpu.index, {.query = query.data(), .dims = 8, .keep = 20});
}

}  // namespace
}  // namespace mrl::coarse
