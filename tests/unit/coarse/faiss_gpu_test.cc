// Kind `faiss_gpu` with a stand-in for FAISS's GPU classes: batches, filters, limits and faults.
#include "index/coarse/gpu/faiss_gpu.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/coarse/gpu/device_set.h"
#include "index/coarse/gpu/faiss_fault.h"
#include "tests/support/host_gpu.h"
#include "tests/unit/coarse/faiss_stand_in.h"
#include "tests/unit/coarse/sample.h"

namespace mrl::coarse::gpu {
namespace {

using test::FaissCounts;
using test::Find;
using test::HostGpu;
using test::HostGpuOptions;
using test::Sample;
using test::StandInFaiss;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

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
    set_->UseFaiss(StandInFaiss(counts_));
    auto made = set_->Make(cpu_);
    ASSERT_TRUE(made.ok()) << made.status();
    gpu_ = *std::move(made);
  }
  // The same index, built with the devices of `set_`.
  absl::StatusOr<std::unique_ptr<CoarseIndex>> BuildAgain(const std::string& factory) {
    const std::string path = sample_.PathOf("000002.faiss.idx");
    const FaissOptions options = {.factory = factory, .dims = 16, .gpu = set_.get()};
    const absl::Status built = BuildFaiss(FileSystem::Posix(), path, *sample_.segment, options);
    if (!built.ok()) return built;
    return OpenFaiss(FileSystem::Posix(), path, sample_.segment, sample_.account);
  }
  void ExpectSame(const Request& request) { ExpectSame(request, *gpu_); }
  void ExpectSame(const Request& request, const CoarseIndex& index) {
    const auto cpu = Find(sample_, *cpu_, request);
    const auto found = Find(sample_, index, request);
    ASSERT_EQ(found.size(), cpu.size());
    for (size_t i = 0; i < cpu.size(); ++i) {
      EXPECT_EQ(found[i].row, cpu[i].row) << i;
      EXPECT_EQ(found[i].score, cpu[i].score) << i;
    }
  }

  Sample sample_{{.rows = 6000}};
  const std::vector<float> query_ = sample_.QueryNear(4, 5);
  FaissCounts counts_;
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
  auto scan = set_->MakeScan(sample_.scan);
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
  *scan = nullptr;
  gpu_ = nullptr;
  set_ = nullptr;  // last: what is on the devices gives its memory back to them
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
  set.UseFaiss(StandInFaiss(counts_));
  const auto made = set.MakeFaiss(cpu_);
  ASSERT_TRUE(made.ok());
  EXPECT_THAT((*made)->Describe(), HasSubstr("by the CPU: a FAISS index: "));
  EXPECT_THAT((*made)->Describe(), HasSubstr("in use of a limit of 100000"));
}

TEST_F(FaissGpuTest, IsBuiltOnADeviceAndSavedAsTheCpuIndex) {
  struct Case {
    const char* factory;
    double share;  // of the best that an index with other centroids finds too
  };
  for (const auto& [factory, share] :
       {Case{"Flat", 1}, Case{"IVF16,Flat", 1}, Case{"IVF16,PQ8", 0.6}, Case{"IVF16,SQ8", 0.9}}) {
    Build(factory, {.float16 = true});
    EXPECT_EQ(counts_.precision, FaissPrecision::kHalf);
    const int added = counts_.added;
    const auto opened = BuildAgain(factory);
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_EQ(counts_.added - added, 6000);
    EXPECT_EQ(counts_.precision, FaissPrecision::kFull);  // whatever searches use
    EXPECT_EQ((*opened)->memory_bytes(), cpu_->memory_bytes());
    const Params all = {{"nprobe", 16}};
    const Request request = {.query = query_.data(),
                             .dims = 16,
                             .keep = 50,
                             .params = factory[0] == 'I' ? &all : nullptr};
    std::set<uint32_t> best;
    for (const Candidate& candidate : Find(sample_, *cpu_, request)) best.insert(candidate.row);
    size_t same = 0;
    for (const Candidate& found : Find(sample_, **opened, request)) same += best.count(found.row);
    EXPECT_GE(static_cast<double>(same), share * 50) << factory;
  }
}

TEST_F(FaissGpuTest, IsBuiltOnTheCpuWhereADeviceFails) {
  Build("Flat");
  counts_.copy_failure = absl::StatusCode::kUnavailable;
  const auto opened = BuildAgain("Flat");
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ((*opened)->memory_bytes(), cpu_->memory_bytes());

  Build("Flat", {.mode = GpuMode::kRequire});
  EXPECT_EQ(BuildAgain("Flat").status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(FaissGpuTest, IsTheCpuIndexWhereItHasNoGpuForm) {
  for (const char* factory :
       {"HNSW16", "PCA8,Flat", "SQfp16", "IVF16_HNSW32,Flat", "IVF16,FlatDedup"}) {
    for (const GpuMode mode : {GpuMode::kAuto, GpuMode::kRequire}) {
      Build(factory, {.mode = mode});
      EXPECT_THAT(gpu_->Describe(), HasSubstr("by the CPU: faiss_gpu: this index has no GPU form"));
      ExpectSame({.query = query_.data(), .dims = 16, .keep = 5});
      EXPECT_TRUE(BuildAgain(factory).ok());
    }
  }
  EXPECT_EQ(counts_.made, 0);
}

TEST_F(FaissGpuTest, IsTheCpuIndexWhereFaissRefusesASetting) {
  counts_.copy_refusal = absl::StatusCode::kUnimplemented;
  Build("IVF16,PQ8", {.mode = GpuMode::kRequire});
  EXPECT_THAT(gpu_->Describe(), HasSubstr("by the CPU: faiss_gpu: a test asked for it"));
  ExpectSame({.query = query_.data(), .dims = 16, .keep = 5});
}

TEST_F(FaissGpuTest, AsksAgainForResourcesThatCouldNotBeMade) {
  counts_.make_failure = absl::StatusCode::kResourceExhausted;
  Build("Flat");
  EXPECT_THAT(gpu_->Describe(), HasSubstr("by the CPU: faiss_gpu: a test asked for it"));
  EXPECT_EQ(set_->device(0).account().used_bytes(), 0);
  counts_.make_failure = absl::StatusCode::kOk;
  const auto made = set_->MakeFaiss(cpu_);
  ASSERT_TRUE(made.ok());
  EXPECT_THAT((*made)->Describe(), HasSubstr("on 16 dims: the host"));
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

TEST_F(FaissGpuTest, IsTheCpuIndexWhereFaissWasBuiltWithoutIt) {
  Build("Flat");
  std::vector<std::unique_ptr<Device>> devices;
  devices.push_back(std::make_unique<HostGpu>(HostGpuOptions{.memory_bytes = 100}));
  DeviceSet set(std::move(devices), {.mode = GpuMode::kRequire}, "");
  set.UseFaiss(nullptr);
  const auto made = set.MakeFaiss(cpu_);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_THAT((*made)->Describe(), HasSubstr("by the CPU: faiss_gpu: this program was built"));
}

TEST_F(FaissGpuTest, IsPutOnADeviceWhenThereIsRoomAtLast) {
  Build("Flat");
  std::vector<std::unique_ptr<Device>> devices;
  devices.push_back(std::make_unique<HostGpu>(HostGpuOptions{.memory_bytes = 700'000}));
  DeviceSet set(std::move(devices), {}, "");
  set.UseFaiss(StandInFaiss(counts_));
  auto first = set.MakeFaiss(cpu_);
  const auto second = set.MakeFaiss(cpu_);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_THAT((*first)->Describe(), HasSubstr(": the host"));
  EXPECT_THAT((*second)->Describe(), HasSubstr("by the CPU: "));
  first->reset();
  set.PlaceAgain();
  EXPECT_THAT((*second)->Describe(), HasSubstr(": the host"));
  ExpectSame({.query = query_.data(), .dims = 16, .keep = 5}, **second);
}

// A device for each index, or a copy on each.
TEST_F(FaissGpuTest, UsesSeveralDevices) {
  Build("Flat");
  for (const uint32_t replicas : {1U, 2U}) {
    std::vector<std::unique_ptr<Device>> devices;
    std::vector<HostGpu*> hosts;
    for (int i = 0; i < 3; ++i) {
      auto device = std::make_unique<HostGpu>(HostGpuOptions{});
      hosts.push_back(device.get());
      devices.push_back(std::move(device));
    }
    DeviceSet set(std::move(devices), {.replicas = replicas}, "");
    set.UseFaiss(StandInFaiss(counts_));
    const auto first = set.MakeFaiss(cpu_);
    const auto second = set.MakeFaiss(cpu_);
    ASSERT_TRUE(first.ok() && second.ok());
    // The second goes where the most room is: where the first is not, then to the first device.
    const uint64_t scratch = hosts[0]->account().limit_bytes() / 8;
    const uint64_t one = cpu_->memory_bytes() + 4 * 6000 + scratch;
    EXPECT_EQ(hosts[0]->account().used_bytes(), replicas == 1 ? one : one + one - scratch);
    EXPECT_EQ(hosts[1]->account().used_bytes(), one);
    EXPECT_EQ(hosts[2]->account().used_bytes(), replicas == 1 ? 0 : one);
    const Request request = {.query = query_.data(), .dims = 16, .keep = 5};
    const int calls = counts_.calls;
    counts_.failure = absl::StatusCode::kUnavailable;  // the first device that is asked
    ExpectSame(request, **first);
    counts_.failure = absl::StatusCode::kOk;
    ExpectSame(request, **first);
    ExpectSame(request, **second);
    EXPECT_EQ(counts_.calls - calls, replicas == 1 ? 2 : 3);
  }
}

// What FAISS throws, word by word from StandardGpuResources.cpp and GpuIndexIVFPQ.cu.
TEST(FaissFault, TellsWhatAnExceptionMeans) {
  const auto code = [](absl::string_view text) {
    return FaissFault(absl::StatusCode::kInternal, "searching", text).code();
  };
  EXPECT_EQ(code("Error in virtual void* allocMemory: Error: 'err == cudaSuccess' failed: "
                 "StandardGpuResources: alloc fail type TemporaryMemoryOverflow dev 0 space Device "
                 "stream 0x5 size 1073741824 bytes (cudaMalloc error out of memory [2])"),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(code("failed to cudaHostAlloc 268435456 bytes for CPU <-> GPU async copy buffer (error "
                 "2 out of memory)"),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(code("std::bad_alloc: out_of_memory: RMM failure"),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(code("StandardGpuResources: alloc fail type FlatData dev 0"),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(code("StandardGpuResources: alloc fail type FlatData dev 0 space Device size 512 bytes "
                 "(cudaMalloc error an illegal memory access was encountered [700])"),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(code("CUDA error 719 unspecified launch failure"), absl::StatusCode::kUnavailable);
  EXPECT_EQ(code("Number of bits per sub-quantizer must be 8"), absl::StatusCode::kInternal);
  EXPECT_EQ(FaissFault(absl::StatusCode::kInternal, "searching", "why").message(),
            "faiss_gpu: searching: why");
}

}  // namespace
}  // namespace mrl::coarse::gpu
