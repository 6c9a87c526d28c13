// Kind `faiss_gpu` on a CUDA device against the CPU index that it is a copy of. Sums differ by
// rounding, so which rows are found is compared by their share.
#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/coarse/gpu/device_set.h"
#include "tests/unit/coarse/sample.h"

namespace mrl::coarse {
namespace {

using gpu::DeviceSet;
using gpu::GpuMode;
using gpu::GpuOptions;
using test::Sample;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr uint32_t kRows = 20'000;
constexpr uint32_t kDims = 16;

// FAISS's side of every device; without a device or FAISS's GPU classes the case is skipped with
// the reason.
class FaissDevice : public ::testing::Test {
 protected:
  void SetUp() override {
    if (gpu::FaissOfDevices() == nullptr) {
      GTEST_SKIP() << "this program was built without FAISS's GPU classes (MRL_FAISS_GPU)";
    }
    const auto opened = DeviceSet::Open({.mode = GpuMode::kRequire});
    if (!opened.ok()) GTEST_SKIP() << opened.status().message();
    devices_ = (*opened)->size();
  }
  void OpenSet(GpuOptions options) {
    options.mode = GpuMode::kRequire;
    auto opened = DeviceSet::Open(options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    gpu_ = nullptr;  // before the devices that it is on
    set_ = *std::move(opened);
  }
  // The index by the CPU, or filled by the set's devices, opened from its file.
  std::shared_ptr<const CoarseIndex> Build(const std::string& factory, DeviceSet* set) {
    const std::string path = sample_.PathOf("000001.faiss.idx");
    const FaissOptions options = {.factory = factory, .dims = kDims, .gpu = set};
    const absl::Status built = BuildFaiss(FileSystem::Posix(), path, *sample_.segment, options);
    EXPECT_TRUE(built.ok()) << built;
    auto opened = OpenFaiss(FileSystem::Posix(), path, sample_.segment, sample_.account);
    EXPECT_TRUE(opened.ok()) << opened.status();
    return *std::move(opened);
  }
  void Put(const std::string& factory, const GpuOptions& options = {}) {
    OpenSet(options);
    cpu_ = Build(factory, nullptr);
    auto made = set_->MakeFaiss(cpu_);
    ASSERT_TRUE(made.ok()) << made.status();
    gpu_ = *std::move(made);
    EXPECT_THAT(gpu_->Describe(), Not(HasSubstr("by the CPU")));
  }
  static std::vector<uint32_t> Rows(const CoarseIndex& index, const Request& request) {
    const auto result = index.Search(request);
    EXPECT_TRUE(result.ok()) << result.status();
    std::vector<uint32_t> rows;
    for (const Candidate& candidate : result->candidates) rows.push_back(candidate.row);
    std::sort(rows.begin(), rows.end());
    return rows;
  }
  // The share of what `one` finds that `other` finds too, of queries near ten rows.
  double Agreement(const CoarseIndex& one, const CoarseIndex& other, Request request) const {
    size_t same = 0;
    size_t all = 0;
    for (uint32_t i = 0; i < 10; ++i) {
      const std::vector<float> query = sample_.QueryNear(i * 1999, i);
      request.query = query.data();
      const std::vector<uint32_t> wanted = Rows(one, request);
      const std::vector<uint32_t> found = Rows(other, request);
      EXPECT_EQ(found.size(), wanted.size());
      for (const uint32_t row : found) {
        same += std::binary_search(wanted.begin(), wanted.end(), row) ? 1 : 0;
      }
      all += wanted.size();
    }
    return static_cast<double>(same) / static_cast<double>(std::max<size_t>(1, all));
  }

  Sample sample_{{.rows = kRows}};
  size_t devices_ = 0;
  std::shared_ptr<DeviceSet> set_;
  std::shared_ptr<const CoarseIndex> cpu_;
  std::shared_ptr<const CoarseIndex> gpu_;
};

struct Index {
  const char* name;
  const char* factory;
  double agreement;
};
class FaissDeviceIndexes : public FaissDevice, public ::testing::WithParamInterface<Index> {};
INSTANTIATE_TEST_SUITE_P(Gpu, FaissDeviceIndexes,
                         ::testing::Values(Index{"Flat", "Flat", 0.99},
                                           Index{"IvfFlat", "IVF64,Flat", 0.98},
                                           Index{"IvfPq", "IVF64,PQ8", 0.95},
                                           Index{"IvfSq8", "IVF64,SQ8", 0.95}),
                         [](const auto& index) { return index.param.name; });

TEST_P(FaissDeviceIndexes, FindsWhatTheCpuIndexFinds) {
  Put(GetParam().factory);
  const bool lists = std::string(GetParam().factory) != "Flat";
  for (const double nprobe : {1.0, 8.0, 64.0}) {
    const Params params = {{"nprobe", nprobe}};
    for (const uint32_t keep : {1U, 50U, 2048U}) {
      const Request request = {.dims = kDims, .keep = keep, .params = lists ? &params : nullptr};
      EXPECT_THAT(Agreement(*cpu_, *gpu_, request), Ge(GetParam().agreement))
          << keep << " of nprobe " << nprobe;
    }
  }
}

TEST_P(FaissDeviceIndexes, FindsNearlyTheSameInHalfPrecision) {
  Put(GetParam().factory, {.float16 = true});
  EXPECT_THAT(Agreement(*cpu_, *gpu_, {.dims = kDims, .keep = 50}), Ge(0.9));
}

TEST_P(FaissDeviceIndexes, IsBuiltThereAndSavedAsACpuIndex) {
  Put(GetParam().factory, {.float16 = true});
  const auto built = Build(GetParam().factory, set_.get());
  EXPECT_EQ(built->memory_bytes(), cpu_->memory_bytes());
  // Other centroids: as near to the exact best as what the CPU trained.
  const auto exact = Build("Flat", nullptr);
  const Request request = {.dims = kDims, .keep = 50};
  EXPECT_THAT(Agreement(*exact, *built, request), Ge(Agreement(*exact, *cpu_, request) - 0.1));
}

TEST_P(FaissDeviceIndexes, SearchesWhatAFilterLeaves) {
  Put(GetParam().factory);
  std::vector<uint64_t> allowed((kRows + 63) / 64);
  for (const uint32_t step : {3U, 100U, 5000U}) {
    std::fill(allowed.begin(), allowed.end(), 0);
    for (uint32_t row = 0; row < kRows; row += step) allowed[row / 64] |= uint64_t{1} << (row % 64);
    const Params params = {{"nprobe", 64}};
    const bool lists = std::string(GetParam().factory) != "Flat";
    const Request request = {
        .dims = kDims, .keep = 20, .allowed = allowed.data(), .params = lists ? &params : nullptr};
    EXPECT_THAT(Agreement(*cpu_, *gpu_, request), Ge(GetParam().agreement - 0.05)) << step;
  }
}

TEST_F(FaissDevice, ProbesAsManyListsAsItMay) {
  Put("IVF2048,Flat");
  const Params params = {{"nprobe", 2048}};
  const Request request = {.dims = kDims, .keep = 2048, .params = &params};
  EXPECT_THAT(Agreement(*cpu_, *gpu_, request), Ge(0.99));
}

TEST_F(FaissDevice, ServesManyThreads) {
  Put("IVF64,Flat");
  const Params params = {{"nprobe", 8}};
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      const Request request = {.dims = kDims, .keep = 10 + t % 2, .params = &params};
      for (int i = 0; i < 5; ++i) EXPECT_THAT(Agreement(*cpu_, *gpu_, request), Ge(0.98));
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(FaissDevice, KeepsACopyOnEachOfTwo) {
  if (devices_ < 2) GTEST_SKIP() << "this machine has " << devices_ << " CUDA device, not two";
  Put("Flat", {.replicas = 2});
  EXPECT_GT(set_->device(0).account().used_bytes(), 0);
  EXPECT_GT(set_->device(1).account().used_bytes(), 0);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back(
        [&] { EXPECT_THAT(Agreement(*cpu_, *gpu_, {.dims = kDims, .keep = 50}), Ge(0.99)); });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace mrl::coarse
