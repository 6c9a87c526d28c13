// Kind `faiss_gpu` with a stand-in for FAISS's GPU classes: batches, filters, limits and faults.
// The stand-in searches the CPU index, one query at a time, as a GPU index would: no filter, no
// more than kFaissKMax rows.
#include "index/coarse/gpu/faiss_gpu.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/coarse/gpu/device_set.h"
#include "tests/support/host_gpu.h"
#include "tests/unit/coarse/sample.h"

namespace mrl::coarse::gpu {
namespace {

using test::Find;
using test::HostGpu;
using test::HostGpuOptions;
using test::Sample;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Le;

struct Counts {
  std::atomic<int> calls = 0;
  std::atomic<int> at_once = 0;
  std::atomic<int> destroyed = 0;  // indexes and resources
  std::atomic<absl::StatusCode> failure = absl::StatusCode::kOk;

  absl::Status Outcome() const {
    return failure == absl::StatusCode::kOk
               ? absl::OkStatus()
               : absl::Status(failure, "faiss_gpu: a test asked for it");
  }
};

// A call of FAISS: no other may run on the device.
class Alone {
 public:
  explicit Alone(Counts& counts) : counts_(counts) {
    EXPECT_EQ(++counts_.at_once, 1) << "GPU indexes are not safe for concurrent calls";
  }
  ~Alone() { --counts_.at_once; }
  Alone(const Alone&) = delete;
  Alone& operator=(const Alone&) = delete;

 private:
  Counts& counts_;
};

class StandInRunner final : public FaissRunner {
 public:
  StandInRunner(const FaissLibrary& library, Counts& counts) : library_(library), counts_(counts) {}
  ~StandInRunner() override {
    const Alone alone(counts_);
    ++counts_.destroyed;
  }
  absl::Status Search(absl::Span<const float> queries, size_t k, size_t nprobe, float* distances,
                      int64_t* labels) override {
    const Alone alone(counts_);
    EXPECT_THAT(k, Le(kFaissKMax));
    ++counts_.calls;
    const Params params = nprobe == 0 ? Params() : Params{{"nprobe", static_cast<double>(nprobe)}};
    for (size_t q = 0; q < queries.size() / library_.dims(); ++q) {
      const auto found = library_.Search(queries.data() + q * library_.dims(), k, nullptr, params);
      for (size_t i = 0; i < found->rows.size(); ++i) {
        const float key = found->rows[i].key;
        distances[q * k + i] = library_.inner_product() ? key : -key;
        labels[q * k + i] = found->rows[i].row;
      }
    }
    return counts_.Outcome();
  }
  absl::Status Train(absl::Span<const float>) override {
    const Alone alone(counts_);
    return absl::OkStatus();
  }
  absl::Status Add(absl::Span<const float>) override {
    const Alone alone(counts_);
    return absl::OkStatus();
  }
  absl::StatusOr<std::unique_ptr<FaissLibrary>> CopyToHost() override {
    return absl::UnavailableError("faiss_gpu: the stand-in holds no rows");
  }

 private:
  const FaissLibrary& library_;
  Counts& counts_;
};

class StandInResources final : public FaissResources {
 public:
  explicit StandInResources(Counts& counts) : counts_(counts) {}
  ~StandInResources() override { ++counts_.destroyed; }
  absl::StatusOr<std::unique_ptr<FaissRunner>> Copy(const FaissLibrary& library) override {
    const Alone alone(counts_);
    return std::make_unique<StandInRunner>(library, counts_);
  }

 private:
  Counts& counts_;
};

class FaissGpuTest : public ::testing::Test {
 protected:
  void Build(const std::string& factory, GpuOptions options = {}) {
    const std::string path = sample_.PathOf("000001.faiss.idx");
    ASSERT_TRUE(BuildFaiss(FileSystem::Posix(), path, *sample_.segment, {factory, 16}).ok());
    auto opened = OpenFaiss(FileSystem::Posix(), path, sample_.segment, sample_.account);
    ASSERT_TRUE(opened.ok()) << opened.status();
    cpu_ = *std::move(opened);
    std::vector<std::unique_ptr<Device>> devices;
    auto device = std::make_unique<HostGpu>(HostGpuOptions{});
    device_ = device.get();
    devices.push_back(std::move(device));
    gpu_ = nullptr;  // before the devices that it is on
    set_ = std::make_unique<DeviceSet>(std::move(devices), options, "");
    set_->UseFaiss(
        [this](Device&, uint64_t) { return std::make_unique<StandInResources>(counts_); });
    auto made = set_->Make(cpu_);
    ASSERT_TRUE(made.ok()) << made.status();
    gpu_ = *std::move(made);
  }
  void ExpectSame(const Request& request) {
    const auto cpu = Find(sample_, *cpu_, request);
    const auto gpu = Find(sample_, *gpu_, request);
    ASSERT_EQ(gpu.size(), cpu.size());
    for (size_t i = 0; i < cpu.size(); ++i) {
      EXPECT_EQ(gpu[i].row, cpu[i].row) << i;
      EXPECT_EQ(gpu[i].score, cpu[i].score) << i;
    }
  }

  Sample sample_{{.rows = 6000}};
  const std::vector<float> query_ = sample_.QueryNear(4, 5);
  Counts counts_;
  std::shared_ptr<const CoarseIndex> cpu_;
  HostGpu* device_ = nullptr;
  std::unique_ptr<DeviceSet> set_;
  std::shared_ptr<const CoarseIndex> gpu_;
};

TEST_F(FaissGpuTest, FindsWhatTheCpuIndexFinds) {
  for (const char* factory : {"Flat", "IVF16,Flat", "IVF16,PQ8", "IVF16,SQ8"}) {
    Build(factory);
    const Params params = {{"nprobe", 4}};
    const bool ivf = factory[0] == 'I';
    for (const uint32_t keep : {1U, 50U, 2048U}) {
      ExpectSame(
          {.query = query_.data(), .dims = 16, .keep = keep, .params = ivf ? &params : nullptr});
    }
  }
  EXPECT_EQ(counts_.calls, 12);
  EXPECT_EQ(gpu_->kind(), "faiss_gpu");
  EXPECT_THAT(gpu_->Describe(), HasSubstr("faiss_gpu IVF16,SQ8 on 16 dims: the host"));
}

TEST_F(FaissGpuTest, FetchesMoreForAFilterAndThenAsksTheCpu) {
  Build("Flat");
  std::vector<uint64_t> tenth((6000 + 63) / 64);
  std::vector<uint64_t> few((6000 + 63) / 64);
  for (uint32_t row = 0; row < 6000; row += 10) tenth[row / 64] |= uint64_t{1} << (row % 64);
  for (uint32_t row = 3; row < 6000; row += 1500) few[row / 64] |= uint64_t{1} << (row % 64);
  ExpectSame({.query = query_.data(), .dims = 16, .keep = 20, .allowed = tenth.data()});
  EXPECT_GT(counts_.calls, 1);
  ExpectSame({.query = query_.data(), .dims = 16, .keep = 20, .allowed = few.data()});
  const std::vector<uint64_t> none((6000 + 63) / 64);
  EXPECT_THAT(Find(sample_, *gpu_,
                   {.query = query_.data(), .dims = 16, .keep = 20, .allowed = none.data()}),
              IsEmpty());
}

TEST_F(FaissGpuTest, LeavesToTheCpuWhatIsBeyondALimit) {
  Build("Flat");
  ExpectSame({.query = query_.data(), .dims = 16, .keep = 2049});
  EXPECT_EQ(counts_.calls, 0);
}

TEST_F(FaissGpuTest, RefusesWhatTheCpuIndexRefuses) {
  Build("IVF16,Flat");
  const Params unknown = {{"efSearch", 3}};
  for (const Request& request :
       std::vector<Request>{{.query = query_.data(), .dims = 8, .keep = 5},
                            {.query = query_.data(), .dims = 16, .bits = 8, .keep = 5},
                            {.query = query_.data(), .dims = 16, .keep = 0},
                            {.query = query_.data(), .dims = 16, .keep = 5, .params = &unknown}}) {
    EXPECT_EQ(gpu_->Search(request).status(), cpu_->Search(request).status());
    EXPECT_EQ(gpu_->Search(request).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST_F(FaissGpuTest, GoesOnWithoutADeviceThatFailed) {
  Build("Flat");
  counts_.failure = absl::StatusCode::kUnavailable;
  ExpectSame({.query = query_.data(), .dims = 16, .keep = 5});
  ExpectSame({.query = query_.data(), .dims = 16, .keep = 5});
  EXPECT_EQ(counts_.calls, 1);
  EXPECT_THAT(gpu_->Describe(), HasSubstr("the CPU, after a fault of the device"));

  Build("Flat", {.mode = GpuMode::kRequire});
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(gpu_->Search({.query = query_.data(), .dims = 16, .keep = 5}).status().code(),
              absl::StatusCode::kUnavailable);
  }
  EXPECT_EQ(set_->MakeFaiss(cpu_).status().code(), absl::StatusCode::kUnavailable);
}

// FAISS ends the process at a fault that another call met, even from its destructors.
TEST_F(FaissGpuTest, CallsFaissNoMoreOnADeviceThatWasLost) {
  Build("Flat");
  const auto scan = set_->MakeScan(sample_.scan);
  ASSERT_TRUE(scan.ok());
  device_->FailWaits(1);
  ASSERT_TRUE((*scan)
                  ->Search({.query = query_.data(), .dims = 8, .bits = 8, .keep = 5})
                  .ok());  // by the CPU
  ExpectSame({.query = query_.data(), .dims = 16, .keep = 5});
  EXPECT_EQ(counts_.calls, 0);
  const auto late = set_->MakeFaiss(cpu_);
  ASSERT_TRUE(late.ok());
  EXPECT_THAT((*late)->Describe(), HasSubstr("by the CPU: gpu: the host, for tests was lost"));
  gpu_ = nullptr;
  set_ = nullptr;
  EXPECT_EQ(counts_.destroyed, 0);
}

TEST_F(FaissGpuTest, LosesTheDeviceForScansAsWell) {
  Build("Flat");
  const auto scan = set_->MakeScan(sample_.scan);
  ASSERT_TRUE(scan.ok());
  counts_.failure = absl::StatusCode::kUnavailable;
  ExpectSame({.query = query_.data(), .dims = 16, .keep = 5});
  ASSERT_TRUE((*scan)->Search({.query = query_.data(), .dims = 8, .bits = 8, .keep = 5}).ok());
  EXPECT_EQ(device_->scans(), 0);
  EXPECT_THAT(set_->report(), HasSubstr("lost: faiss_gpu: a test asked for it"));
}

TEST_F(FaissGpuTest, GoesOnWithADeviceWhoseIndexFaissRefused) {
  Build("Flat");
  const auto other = set_->MakeFaiss(cpu_);
  ASSERT_TRUE(other.ok());
  counts_.failure = absl::StatusCode::kInternal;
  ExpectSame({.query = query_.data(), .dims = 16, .keep = 5});
  counts_.failure = absl::StatusCode::kOk;
  ExpectSame({.query = query_.data(), .dims = 16, .keep = 5});
  EXPECT_EQ(counts_.calls, 1);
  EXPECT_THAT(gpu_->Describe(), HasSubstr("the CPU, after a fault of the device"));
  ASSERT_TRUE((*other)->Search({.query = query_.data(), .dims = 16, .keep = 5}).ok());
  EXPECT_EQ(counts_.calls, 2);
}

TEST_F(FaissGpuTest, GoesOnWithADeviceThatLackedMemoryOnce) {
  Build("Flat");
  counts_.failure = absl::StatusCode::kResourceExhausted;
  ExpectSame({.query = query_.data(), .dims = 16, .keep = 5});
  counts_.failure = absl::StatusCode::kOk;
  ExpectSame({.query = query_.data(), .dims = 16, .keep = 5});
  EXPECT_EQ(counts_.calls, 2);
}

TEST_F(FaissGpuTest, CountsItsMemoryAndGivesItBack) {
  Build("IVF16,Flat");
  const MemoryAccount& account = set_->device(0).account();
  const uint64_t scratch = account.limit_bytes() / 8;
  EXPECT_EQ(account.used_bytes(), scratch + cpu_->memory_bytes());
  gpu_ = nullptr;
  EXPECT_EQ(account.used_bytes(), scratch);
}

TEST_F(FaissGpuTest, IsTheCpuIndexWhereADeviceHasNoRoom) {
  Build("Flat");
  std::vector<std::unique_ptr<Device>> devices;
  devices.push_back(std::make_unique<HostGpu>(HostGpuOptions{.memory_bytes = 100'000}));
  DeviceSet set(std::move(devices), {}, "");
  set.UseFaiss([this](Device&, uint64_t) { return std::make_unique<StandInResources>(counts_); });
  const auto made = set.MakeFaiss(cpu_);
  ASSERT_TRUE(made.ok());
  EXPECT_THAT((*made)->Describe(), HasSubstr("by the CPU: a FAISS index: "));
  EXPECT_THAT((*made)->Describe(), HasSubstr("in use of a limit of 100000"));
}

TEST_F(FaissGpuTest, IsBuiltOnTheCpuWhereADeviceFails) {
  Build("Flat");
  const std::string path = sample_.PathOf("000002.faiss.idx");
  FaissOptions options = {.factory = "Flat", .dims = 16, .gpu = set_.get()};
  ASSERT_TRUE(BuildFaiss(FileSystem::Posix(), path, *sample_.segment, options).ok());
  const auto opened = OpenFaiss(FileSystem::Posix(), path, sample_.segment, sample_.account);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ((*opened)->memory_bytes(), cpu_->memory_bytes());

  Build("Flat", {.mode = GpuMode::kRequire});
  options.gpu = set_.get();
  EXPECT_EQ(BuildFaiss(FileSystem::Posix(), path, *sample_.segment, options).code(),
            absl::StatusCode::kUnavailable);
}

TEST_F(FaissGpuTest, CopiesNoSegmentWhileASearchRuns) {
  Build("Flat");
  std::thread copies([&] {
    for (int i = 0; i < 30; ++i) EXPECT_TRUE(set_->MakeFaiss(cpu_).ok());  // and gone again
  });
  for (uint32_t i = 0; i < 50; ++i) {
    const std::vector<float> query = sample_.QueryNear(i, i);
    ExpectSame({.query = query.data(), .dims = 16, .keep = 5});
  }
  copies.join();
}

TEST_F(FaissGpuTest, ServesOneBatchAtATime) {
  Build("Flat");
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (uint32_t i = 0; i < 20; ++i) {
        const std::vector<float> query = sample_.QueryNear(t * 50 + i, i);
        ExpectSame({.query = query.data(), .dims = 16, .keep = 5});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(FaissGpuTest, SaysWhereFaissWasBuiltWithoutIt) {
  Build("Flat");
  std::vector<std::unique_ptr<Device>> devices;
  devices.push_back(std::make_unique<HostGpu>(HostGpuOptions{}));
  DeviceSet set(std::move(devices), {}, "");
  set.UseFaiss([](Device&, uint64_t) -> absl::StatusOr<std::unique_ptr<FaissResources>> {
    return absl::FailedPreconditionError("faiss_gpu: this program was built without it");
  });
  const auto made = set.MakeFaiss(cpu_);
  ASSERT_TRUE(made.ok());
  EXPECT_THAT((*made)->Describe(), HasSubstr("by the CPU: faiss_gpu: this program was built"));
}

}  // namespace
}  // namespace mrl::coarse::gpu
