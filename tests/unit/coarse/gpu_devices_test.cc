// Where kind `gpu_scan` puts segments, and what happens when a device cannot.
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/coarse/gpu/batch.h"
#include "index/coarse/gpu/device_set.h"
#include "index/coarse/gpu/gpu_scan.h"
#include "tests/unit/coarse/on_gpu.h"

namespace mrl::coarse {
namespace {

using gpu::DeviceSet;
using gpu::GpuMode;
using gpu::GpuOptions;
using test::ExpectFunnel;
using test::ExpectSame;
using test::HostGpu;
using test::HostGpuOptions;
using test::OnGpu;
using test::Sample;
using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST(GpuDevices, ReadsLevelsThatDoNotFitFromTheHost) {
  const Sample sample({.rows = 20'000});
  const uint64_t codes = 20'032 * (8 + 16 + 32) + 3 * 313 * 12;
  const uint64_t norms = 20'000 * 4 * sizeof(float);
  const uint64_t first_level = 20'000 * 8 * sizeof(float);
  // An eighth is left for batches.
  const OnGpu gpu(sample, {.memory_bytes = (codes + norms + first_level + 4096) * 8 / 7});
  EXPECT_THAT(gpu.index->Describe(), HasSubstr("levels to 8 dims there, to 48 dims from the host"));
  ExpectFunnel(sample, *gpu.index, {{8, 8, 200}, {32, 0, 60}, {48, 0, 10}}, 3);
}

TEST(GpuDevices, LeavesStagesToTheCpuWhereNothingMayBePinned) {
  const Sample sample({.rows = 20'000});
  const uint64_t codes = 20'032 * (8 + 16 + 32) + 3 * 313 * 12;
  const uint64_t norms = 20'000 * 4 * sizeof(float);
  const uint64_t two_levels = 20'000 * 16 * sizeof(float);
  const OnGpu gpu(sample,
                  {.memory_bytes = (codes + norms + two_levels + 4096) * 8 / 7, .can_map = false});
  ExpectFunnel(sample, *gpu.index, {{8, 8, 200}, {16, 0, 60}, {48, 0, 10}}, 2);
}

TEST(GpuDevices, LeavesItAllToTheCpuWithoutRoomOrDevice) {
  const Sample sample({.rows = 20'000});
  const std::vector<float> query = sample.QueryNear(1, 2);
  const OnGpu small(sample, {.memory_bytes = 1000});
  EXPECT_THAT(small.index->Describe(), HasSubstr("by the CPU: "));
  EXPECT_THAT(small.index->Describe(), HasSubstr("limit"));
  ExpectSame(sample, *small.index, {.query = query.data(), .dims = 8, .bits = 8, .keep = 10});
  const OnGpu none(sample, {}, {}, 0);
  EXPECT_THAT(none.index->Describe(), HasSubstr("by the CPU: gpu: no device was made"));
  ExpectSame(sample, *none.index, {.query = query.data(), .dims = 8, .bits = 8, .keep = 10});
}

TEST(GpuDevices, SaysWhyWhereADeviceIsRequired) {
  const Sample sample({.rows = 20'000});
  const GpuOptions required = {.mode = GpuMode::kRequire};
  DeviceSet none({}, required, "no device was made");
  const auto refused = none.MakeScan(sample.scan).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("no device was made"));
  std::vector<std::unique_ptr<gpu::Device>> devices;
  devices.push_back(std::make_unique<HostGpu>(HostGpuOptions{.memory_bytes = 1000}));
  DeviceSet small(std::move(devices), required, "");
  EXPECT_EQ(small.MakeScan(sample.scan).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(GpuDevices, GoesOnWithoutADeviceThatWasLost) {
  const Sample sample({.rows = 5000});
  const std::vector<float> query = sample.QueryNear(1, 2);
  const Request request = {.query = query.data(), .dims = 8, .bits = 8, .keep = 10};
  const OnGpu gpu(sample);
  gpu.host[0]->FailWaits(1);
  ExpectSame(sample, *gpu.index, request);
  EXPECT_THAT(gpu.index->Describe(), HasSubstr("the CPU, after a fault of the device"));
  const uint64_t scans = gpu.host[0]->scans();
  ExpectSame(sample, *gpu.index, request);
  EXPECT_EQ(gpu.host[0]->scans(), scans);

  const OnGpu required(sample, {}, {.mode = GpuMode::kRequire});
  required.host[0]->FailWaits(1);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(required.index->Search(request).status().code(), absl::StatusCode::kUnavailable);
  }
  EXPECT_EQ(required.set->MakeScan(sample.scan).status().code(), absl::StatusCode::kUnavailable);
}

TEST(GpuDevices, GoOnAfterTheyLackedMemoryForABatch) {
  const Sample sample({.rows = 5000});
  const std::vector<float> query = sample.QueryNear(1, 2);
  const Request request = {.query = query.data(), .dims = 8, .bits = 8, .keep = 10};
  const OnGpu gpu(sample);
  gpu.host[0]->FailAllocations(1);
  ExpectSame(sample, *gpu.index, request);
  EXPECT_EQ(gpu.host[0]->scans(), 0);
  ExpectSame(sample, *gpu.index, request);
  EXPECT_GT(gpu.host[0]->scans(), 0);

  const OnGpu required(sample, {}, {.mode = GpuMode::kRequire});
  required.host[0]->FailAllocations(1);
  EXPECT_EQ(required.index->Search(request).status().code(), absl::StatusCode::kResourceExhausted);
  ExpectSame(sample, *required.index, request);
}

// Codes, then norms, then levels, then their table: three codes of two allocations each.
TEST(GpuDevices, KeepWhatServesWhenMemoryEndsWithinALoad) {
  const Sample sample({.rows = 5000});
  const std::vector<LaterStage> stages = {{8, 8, 200}, {16, 0, 60}, {48, 0, 10}};
  auto device = std::make_unique<HostGpu>(HostGpuOptions{});
  HostGpu* const host = device.get();
  std::vector<std::unique_ptr<gpu::Device>> devices;
  devices.push_back(std::move(device));
  DeviceSet set(std::move(devices), {}, "");
  const auto load = [&](int after) {
    host->FailAllocations(1, after);
    auto made = set.MakeScan(sample.scan);
    EXPECT_TRUE(made.ok()) << made.status();
    return *std::move(made);
  };
  for (const int codes : {0, 1, 5}) {
    EXPECT_THAT(load(codes)->Describe(), HasSubstr("codes: a test asked for it"));
    EXPECT_EQ(host->account().used_bytes(), 0);
  }
  const std::vector<float> query = sample.QueryNear(17, 3);
  const auto stages_run = [&](const CoarseIndex& index) {
    const auto result = index.Search({.query = query.data(),
                                      .dims = 8,
                                      .bits = 8,
                                      .keep = 200,
                                      .later = absl::MakeConstSpan(stages).subspan(1)});
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? 1 + result->later.size() : 0;
  };
  const auto without_norms = load(6);
  EXPECT_EQ(stages_run(*without_norms), 1);
  EXPECT_EQ(host->scans(), 1);
  const auto without_a_level = load(8);
  EXPECT_THAT(without_a_level->Describe(), HasSubstr("levels to 8 dims there, to 48 dims from"));
  ExpectFunnel(sample, *without_a_level, stages, 3);
  const auto without_table = load(11);
  EXPECT_EQ(without_table->Describe(), without_norms->Describe());
  EXPECT_EQ(stages_run(*without_table), 1);
}

TEST(GpuDevices, SamplesMoreOfTheLargestSegments) {
  using gpu::PlanSample;
  EXPECT_EQ(PlanSample(1000, 10).blocks, 0);
  EXPECT_EQ(PlanSample(10'000, 10).blocks, 32);
  EXPECT_EQ(PlanSample(1'000'000, 200).blocks, 192);
  EXPECT_EQ(PlanSample(64U << 20, 200).blocks, 1024);
  // What a query's list may hold does not grow with the rows as they do.
  for (const uint32_t rows : {60'000'000U, 100'000'000U, 1'000'000'000U, 4'000'000'000U}) {
    for (const uint32_t keep : {1U, 200U, 4000U}) {
      const gpu::SamplePlan plan = PlanSample(rows, keep);
      EXPECT_LT(plan.capacity, rows == 4'000'000'000U ? 810'000U : 300'000U) << rows << " " << keep;
      EXPECT_GE(uint64_t{plan.rank} * plan.step, keep);
      EXPECT_LE(plan.blocks * 64, plan.capacity);
    }
  }
}

TEST(GpuDevices, AreLostForEveryIndexAndSayWhyOnce) {
  const Sample sample({.rows = 5000});
  const std::vector<float> query = sample.QueryNear(1, 2);
  const Request request = {.query = query.data(), .dims = 8, .bits = 8, .keep = 10};
  std::vector<std::string> warnings;
  GpuOptions options;
  options.warn = [&](const std::string& text) { warnings.push_back(text); };
  const OnGpu gpu(sample, {}, options);
  const auto other = gpu.set->MakeScan(sample.scan);
  ASSERT_TRUE(other.ok());
  EXPECT_EQ(gpu.set->report(), "the host, for tests");
  gpu.host[0]->FailWaits(2);
  ExpectSame(sample, *gpu.index, request);
  const uint64_t scans = gpu.host[0]->scans();
  ExpectSame(sample, **other, request);
  EXPECT_EQ(gpu.host[0]->scans(), scans);
  EXPECT_THAT((*other)->Describe(), HasSubstr("the CPU, after a fault of the device"));
  EXPECT_THAT(gpu.set->report(), HasSubstr("the host, for tests, lost: gpu: the device was lost"));
  ASSERT_THAT(warnings, SizeIs(1));
  EXPECT_THAT(warnings[0], HasSubstr("(a test asked for it)"));
  const auto late = gpu.set->MakeScan(sample.scan);
  ASSERT_TRUE(late.ok());
  EXPECT_THAT((*late)->Describe(), HasSubstr("by the CPU: gpu: the host, for tests was lost"));
}

TEST(GpuDevices, SayWhichWereLeftOut) {
  const auto found = [] {
    gpu::CudaDevices devices;
    devices.devices.push_back(std::make_unique<HostGpu>(HostGpuOptions{}));
    devices.why_not = "device 1: it is too old";
    return devices;
  };
  const auto opened = DeviceSet::Of(found(), {});
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ((*opened)->report(), "the host, for tests; left out: device 1: it is too old");
  const absl::Status refused = DeviceSet::Of(found(), {.mode = GpuMode::kRequire}).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("device 1: it is too old"));
}

TEST(GpuDevices, ReplaysARecordingForAPlanThatComesAgain) {
  const Sample sample({.rows = 5000});
  const OnGpu gpu(sample);
  for (uint32_t seed = 0; seed < 4; ++seed) {
    const std::vector<float> query = sample.QueryNear(seed, seed);
    ExpectSame(sample, *gpu.index, {.query = query.data(), .dims = 8, .bits = 8, .keep = 10});
    ExpectSame(sample, *gpu.index, {.query = query.data(), .dims = 16, .bits = 8, .keep = 300});
  }
  EXPECT_EQ(gpu.host[0]->recordings(), 2);  // at the second use
  EXPECT_EQ(gpu.host[0]->replays(), 6);
  const OnGpu without(sample, {.can_record = false});
  const std::vector<float> query = sample.QueryNear(1, 2);
  for (int i = 0; i < 2; ++i) {
    ExpectSame(sample, *without.index, {.query = query.data(), .dims = 8, .bits = 8, .keep = 10});
  }
}

TEST(GpuDevices, ForgetTheRecordingThatWasLongestUnused) {
  const Sample sample({.rows = 500});
  const OnGpu gpu(sample);
  const std::vector<float> query = sample.QueryNear(1, 2);
  const auto search = [&](uint32_t keep) {
    ExpectSame(sample, *gpu.index, {.query = query.data(), .dims = 8, .bits = 8, .keep = keep});
  };
  search(200);  // grows the buffers, and again
  search(200);
  search(1);
  search(1);
  EXPECT_EQ(gpu.host[0]->recordings(), 2);
  for (uint32_t keep = 2; keep < 64; ++keep) search(keep);
  search(1);
  search(64);  // the 65th: 200 goes
  search(1);
  EXPECT_EQ(gpu.host[0]->recordings(), 2);
  EXPECT_EQ(gpu.host[0]->replays(), 4);
  search(200);
  EXPECT_EQ(gpu.host[0]->recordings(), 2);
  search(200);
  EXPECT_EQ(gpu.host[0]->recordings(), 3);
}

TEST(GpuDevices, RecordsOnceForFiltersOfAnySize) {
  const Sample sample({.rows = 5000});
  const OnGpu gpu(sample);
  const std::vector<float> query = sample.QueryNear(1, 2);
  const auto search = [&](uint32_t step) {
    std::vector<uint64_t> allowed((5000 + 63) / 64);
    for (uint32_t row = 0; row < 5000; row += step) allowed[row / 64] |= uint64_t{1} << (row % 64);
    const uint64_t* words = allowed.data();
    ExpectSame(sample, *gpu.index,
               {.query = query.data(), .dims = 8, .bits = 8, .keep = 10, .allowed = words});
  };
  for (const uint32_t step : {2U, 3U, 7U}) search(step);
  EXPECT_EQ(gpu.host[0]->recordings(), 1);
  EXPECT_EQ(gpu.host[0]->replays(), 2);
  search(1000);  // 5 rows: fewer than are kept
  search(1000);
  EXPECT_EQ(gpu.host[0]->recordings(), 2);
  EXPECT_EQ(gpu.host[0]->replays(), 3);
}

TEST(GpuDevices, LeavesRoomForTwoFullBatches) {
  const Sample sample({.rows = 20'000});
  // Room for the codes and a part of the levels: without the part for batches the rest is full.
  const OnGpu gpu(sample, {.memory_bytes = 4'000'000}, {.mode = GpuMode::kRequire});
  EXPECT_THAT(gpu.index->Describe(), HasSubstr("from the host"));
  const HostGpu& device = *gpu.host[0];
  EXPECT_LE(device.account().used_bytes() + device.batch_bytes(), 4'000'000);
  std::vector<std::vector<float>> queries;
  for (uint32_t i = 0; i < 200; ++i) queries.push_back(sample.QueryNear(i * 31, i));
  std::vector<Request> requests;
  for (const auto& query : queries) {
    requests.push_back({.query = query.data(), .dims = 8, .keep = 100});
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      for (const auto& result : gpu.index->SearchTile(requests)) {
        EXPECT_TRUE(result.ok()) << result.status();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(GpuDevices, RefusesCodesThatLeaveNoRoomForBatches) {
  const Sample sample({.rows = 20'000});
  const uint64_t codes = 20'032 * (8 + 16 + 32) + 3 * 313 * 12;
  const OnGpu gpu(sample, {.memory_bytes = codes + 4096});
  EXPECT_THAT(gpu.index->Describe(), HasSubstr("by the CPU: segment "));
  EXPECT_THAT(gpu.index->Describe(), HasSubstr("are for batches"));
  EXPECT_EQ(gpu.host[0]->account().used_bytes(), 0);
}

TEST(GpuDevices, LeavesToTheCpuAQueryThatIsTooLongForSharedMemory) {
  const Sample sample(
      {.rows = 130, .ladder = {16, 32'768, 32'772}, .codes = {{16, 8}, {32'768, 8}, {32'772, 8}}});
  const OnGpu gpu(sample);
  const std::vector<float> query = sample.QueryNear(1, 2);
  ExpectSame(sample, *gpu.index, {.query = query.data(), .dims = 32'768, .bits = 8, .keep = 10});
  const uint64_t scans = gpu.host[0]->scans();
  EXPECT_GT(scans, 0);
  ExpectSame(sample, *gpu.index, {.query = query.data(), .dims = 32'772, .bits = 8, .keep = 10});
  EXPECT_EQ(gpu.host[0]->scans(), scans);
  // As a later stage it is not scanned.
  ExpectFunnel(sample, *gpu.index, {{16, 8, 50}, {32'772, 8, 20}, {32'772, 0, 5}}, 3);
}

TEST(GpuDevices, KeepsReplicasOnSeveralDevices) {
  const Sample sample({.rows = 5000});
  const std::vector<float> query = sample.QueryNear(1, 2);
  const Request request = {.query = query.data(), .dims = 8, .bits = 8, .keep = 10};
  const OnGpu gpu(sample, {}, {.replicas = 2}, 3);
  EXPECT_GT(gpu.host[0]->account().used_bytes(), 0);
  EXPECT_GT(gpu.host[1]->account().used_bytes(), 0);
  EXPECT_EQ(gpu.host[2]->account().used_bytes(), 0);
  // When one is lost the other answers.
  gpu.host[0]->FailWaits(1);
  ExpectSame(sample, *gpu.index, request);
  const uint64_t scans = gpu.host[1]->scans();
  ExpectSame(sample, *gpu.index, request);
  EXPECT_GT(gpu.host[1]->scans(), scans);
}

TEST(GpuDevices, SpreadsSegmentsOverDevices) {
  const Sample sample({.rows = 5000});
  OnGpu gpu(sample, {}, {}, 2);
  auto second = gpu.set->MakeScan(sample.scan);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(gpu.host[0]->account().used_bytes(), gpu.host[1]->account().used_bytes());
  second->reset();
  EXPECT_EQ(gpu.host[1]->account().used_bytes(), 0);  // a segment that goes gives its memory back
}

TEST(GpuDevices, TakeASegmentWhenThereIsRoomAtLast) {
  const Sample sample({.rows = 20'000});
  const uint64_t codes = 20'032 * (8 + 16 + 32) + 3 * 313 * 12;
  OnGpu gpu(sample, {.memory_bytes = 2 * codes, .can_map = false});
  const auto merged = gpu.set->MakeScan(sample.scan);
  const auto dropped = gpu.set->MakeScan(sample.scan);
  ASSERT_TRUE(merged.ok() && dropped.ok());
  EXPECT_THAT((*merged)->Describe(), HasSubstr("by the CPU: "));
  const std::vector<float> query = sample.QueryNear(1, 2);
  const Request request = {.query = query.data(), .dims = 8, .bits = 8, .keep = 10};
  ExpectSame(sample, **merged, request);
  gpu.set->PlaceAgain();
  EXPECT_THAT((*merged)->Describe(), HasSubstr("by the CPU: "));
  std::atomic<bool> done = false;
  std::thread searches([&] {
    while (!done) ExpectSame(sample, **merged, request);
  });
  gpu.index = nullptr;
  gpu.set->PlaceAgain();
  done = true;
  searches.join();
  EXPECT_THAT((*merged)->Describe(), HasSubstr("MiB on the host"));
  EXPECT_THAT((*dropped)->Describe(), HasSubstr("by the CPU: "));
  const uint64_t scans = gpu.host[0]->scans();
  ExpectSame(sample, **merged, request);
  EXPECT_GT(gpu.host[0]->scans(), scans);
}

TEST(GpuDevices, ServesManyThreads) {
  const Sample sample({.rows = 5000});
  const OnGpu gpu(sample);
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (uint32_t i = 0; i < 10; ++i) {
        const std::vector<float> query = sample.QueryNear(t * 100 + i, i);
        ExpectSame(sample, *gpu.index,
                   {.query = query.data(), .dims = 8U << (i % 2), .bits = 8, .keep = 10});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(GpuDevices, JoinWhatIsAskedWhileABatchRuns) {
  const Sample sample({.rows = 5000});
  std::atomic<const gpu::GpuScan*> index = nullptr;
  std::atomic<bool> is_first = true;
  // The first batch lasts until three more requests wait.
  const auto until_three_wait = [&] {
    if (!is_first.exchange(false)) return;
    while (index.load()->queued() < 3) std::this_thread::yield();
  };
  const OnGpu gpu(sample, {.on_wait = until_three_wait}, {.batches = 1});
  index = dynamic_cast<const gpu::GpuScan*>(gpu.index.get());
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const std::vector<float> query = sample.QueryNear(t * 100, t);
      ExpectSame(sample, *gpu.index, {.query = query.data(), .dims = 8, .bits = 8, .keep = 10});
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(index.load()->served(), (std::pair<size_t, size_t>{2, 4}));
}

TEST(GpuDevices, AddTheirKindUnlessTheyAreOff) {
  const DeviceSet on({}, {.mode = GpuMode::kAuto}, "nothing was looked for");
  EXPECT_EQ(on.KindFor("scan"), "gpu_scan");
  EXPECT_EQ(on.KindFor("hnsw"), "");
  EXPECT_EQ(on.report(), "none: nothing was looked for");
  const auto off = DeviceSet::Open({.mode = GpuMode::kOff});
  ASSERT_TRUE(off.ok());
  EXPECT_EQ((*off)->KindFor("scan"), "");
  EXPECT_EQ((*off)->report(), "none: gpu is off");
}

TEST(GpuDevices, AreKnownByTheirModes) {
  EXPECT_EQ(*gpu::ParseGpuMode("require"), GpuMode::kRequire);
  const absl::Status refused = gpu::ParseGpuMode("on").status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(refused.message(), "gpu is `on`, these are known: off, auto, require");
}

}  // namespace
}  // namespace mrl::coarse
