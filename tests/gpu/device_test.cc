// Kind `gpu_scan` on a CUDA device against the CPU's `scan`: the cases of
// tests/unit/coarse/gpu_scan_test.cc that a device may get wrong where the host launcher is right.
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/coarse/gpu/device_set.h"
#include "tests/unit/coarse/on_gpu.h"

namespace mrl::coarse {
namespace {

using gpu::DeviceSet;
using gpu::GpuMode;
using gpu::GpuOptions;
using test::ByRow;
using test::ExpectFunnel;
using test::ExpectSame;
using test::ExpectSameStored;
using test::Sample;
using ::testing::HasSubstr;

// Every device of this machine; without one the case is skipped with the reason.
class Device : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto opened = DeviceSet::Open({.mode = GpuMode::kRequire});
    if (!opened.ok()) GTEST_SKIP() << opened.status().message();
  }
  // The index of a sample that fails where a device would leave it to the CPU.
  std::shared_ptr<const CoarseIndex> Put(const Sample& sample, GpuOptions options = {}) {
    options.mode = GpuMode::kRequire;
    auto opened = DeviceSet::Open(options);
    EXPECT_TRUE(opened.ok()) << opened.status();
    sets_.push_back(*std::move(opened));
    auto made = sets_.back()->MakeScan(sample.scan);
    EXPECT_TRUE(made.ok()) << made.status();
    return *std::move(made);
  }

  std::vector<std::shared_ptr<DeviceSet>> sets_;
};

std::vector<uint64_t> EveryThird(uint32_t rows) {
  std::vector<uint64_t> bits((rows + 63) / 64);
  for (uint32_t row = 0; row < rows; row += 3) bits[row / 64] |= uint64_t{1} << (row % 64);
  return bits;
}

TEST_F(Device, FindsWhatTheCpuFindsByEveryCode) {
  for (const uint32_t rows : {1U, 63U, 64U, 65U, 513U, 8191U, 50'003U}) {
    const Sample sample({.rows = rows,
                         .ladder = {2, 8, 19, 48, 100},
                         .codes = {{2, 8}, {19, 8}, {48, 8}, {100, 1}, {100, 2}, {100, 4}}});
    const auto index = Put(sample);
    const std::vector<uint64_t> thirds = EveryThird(rows);
    const std::vector<float> query = sample.QueryNear(rows / 2, 5);
    for (const Code code : std::vector<Code>{
             {2, 8}, {19, 8}, {48, 8}, {2, 1}, {48, 1}, {100, 1}, {19, 2}, {100, 2}, {100, 4}}) {
      for (const uint32_t keep : {1U, 10U, 1000U}) {
        for (const uint64_t* allowed : {static_cast<const uint64_t*>(nullptr), thirds.data()}) {
          ExpectSame(sample, *index,
                     {.query = query.data(),
                      .dims = code.dims,
                      .bits = code.bits,
                      .keep = keep,
                      .allowed = allowed});
        }
      }
    }
  }
}

TEST_F(Device, FindsTheSameUnderEveryMetricAndStorage) {
  for (const Metric metric : {Metric::kCosine, Metric::kInnerProduct, Metric::kL2}) {
    for (const StorageType storage : {StorageType::kF32, StorageType::kF16}) {
      const Sample sample({.rows = 20'000, .metric = metric, .storage = storage});
      const auto index = Put(sample);
      const std::vector<float> query = sample.QueryNear(91, 4);
      for (const uint32_t dims : {8U, 16U, 32U}) {
        ExpectSame(sample, *index, {.query = query.data(), .dims = dims, .bits = 8, .keep = 100});
        ExpectSameStored(sample, *index, {.query = query.data(), .dims = dims, .keep = 50});
      }
      ExpectFunnel(sample, *index, {{8, 8, 500}, {16, 0, 200}, {32, 0, 60}, {48, 0, 10}}, 4);
    }
  }
}

TEST_F(Device, ClimbsTheBitsOfAFunnel) {
  const Sample sample({.rows = 30'000, .ladder = {16, 64, 200}, .codes = {{200, 1}, {200, 4}}});
  const auto index = Put(sample);
  ExpectFunnel(sample, *index, {{16, 1, 4000}, {200, 1, 300}, {200, 0, 10}}, 3);
  ExpectFunnel(sample, *index, {{64, 1, 1000}, {64, 4, 500}, {200, 4, 100}, {200, 0, 10}}, 4);
}

// Thresholds from a sample are wrong here, and corrected.
TEST_F(Device, IsExactWhateverTheOrderOfRows) {
  const auto near_first = [](std::vector<float>& vectors) {
    for (size_t i = 48; i < size_t{3000} * 48; ++i) {
      vectors[i] = vectors[i % 48] * (1 + static_cast<float>(i % 7) * 1e-3F);
    }
  };
  const auto all_equal = [](std::vector<float>& vectors) {
    for (size_t i = 48; i < vectors.size(); ++i) vectors[i] = vectors[i % 48];
  };
  using Edit = std::function<void(std::vector<float>&)>;
  for (const Edit& edit : {Edit(near_first), Edit(all_equal)}) {
    const Sample sample({.rows = 60'000, .codes = {{8, 8}, {48, 1}}, .edit = edit});
    const auto index = Put(sample, {.mode = GpuMode::kAuto});
    const std::vector<float> query = sample.QueryNear(0, 2);
    for (const uint32_t keep : {1U, 100U, 5000U}) {
      ExpectSame(sample, *index, {.query = query.data(), .dims = 48, .bits = 1, .keep = keep});
      ExpectSame(sample, *index, {.query = query.data(), .dims = 8, .bits = 8, .keep = keep});
    }
  }
}

TEST_F(Device, AnswersManyQueriesAtOnceAsEachAlone) {
  const Sample sample({.rows = 60'000, .ladder = {8, 16, 48}, .codes = {{8, 8}, {48, 1}}});
  const auto index = Put(sample);
  for (const size_t count : {2U, 4U, 5U, 16U, 33U, 1500U}) {
    std::vector<std::vector<float>> queries;
    std::vector<Request> requests;
    for (uint32_t i = 0; i < count; ++i) queries.push_back(sample.QueryNear(i * 31, i));
    for (const auto& query : queries) {
      requests.push_back({.query = query.data(), .dims = 48, .bits = 1, .keep = 20});
    }
    const Results together = index->SearchTile(requests);
    for (size_t i = 0; i < count; i += 1 + count / 16) {
      const auto alone = sample.scan->Search(requests[i]);
      ASSERT_TRUE(together[i].ok() && alone.ok());
      EXPECT_EQ(ByRow(*together[i]), ByRow(*alone)) << i << " of " << count;
    }
  }
}

TEST_F(Device, RepeatsAPlanWithOtherQueries) {
  const Sample sample({.rows = 60'000});
  const auto index = Put(sample);
  for (uint32_t i = 0; i < 20; ++i) {
    const std::vector<float> query = sample.QueryNear(i * 2999, i);
    ExpectSame(sample, *index, {.query = query.data(), .dims = 16, .bits = 8, .keep = 200});
  }
}

TEST_F(Device, ReadsLevelsThatDoNotFitFromTheHost) {
  const Sample sample({.rows = 20'000});
  const auto index = Put(sample, {.memory_bytes = 4'000'000});
  EXPECT_THAT(index->Describe(), HasSubstr("from the host"));
  ExpectFunnel(sample, *index, {{8, 8, 200}, {32, 0, 60}, {48, 0, 10}}, 3);
}

TEST_F(Device, SaysWhatDoesNotFit) {
  const Sample sample({.rows = 20'000});
  auto opened = DeviceSet::Open({.mode = GpuMode::kRequire, .memory_bytes = 1000});
  ASSERT_TRUE(opened.ok());
  const absl::Status refused = (*opened)->MakeScan(sample.scan).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("limit"));
}

TEST_F(Device, IsNamedByItsNumber) {
  const absl::Status refused =
      DeviceSet::Open({.mode = GpuMode::kRequire, .devices = {99}}).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("device 99 was asked for"));
}

TEST_F(Device, ServesManyThreads) {
  const Sample sample({.rows = 60'000});
  const auto index = Put(sample);
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (uint32_t i = 0; i < 20; ++i) {
        const std::vector<float> query = sample.QueryNear(t * 100 + i, i);
        ExpectSame(sample, *index,
                   {.query = query.data(), .dims = 8U << (i % 2), .bits = 8, .keep = 10 + i % 3});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace mrl::coarse
