#include "tests/support/host_gpu.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <numeric>
#include <utility>

#include "base/check.h"

namespace mrl::test {

using coarse::gpu::kThreads;
using coarse::gpu::Memory;
namespace gpu = coarse::gpu;

namespace {

constexpr size_t kGuardBytes = 64;
constexpr int kPattern = 0xA5;

// Memory that is not zeroed, with a guard behind it.
Memory Guarded(size_t bytes) {
  auto* data = static_cast<uint8_t*>(std::aligned_alloc(64, (bytes + 2 * kGuardBytes) / 64 * 64));
  CHECK(data != nullptr);
  std::memset(data, kPattern, bytes + kGuardBytes);
  return Memory(data, bytes, [bytes](void* at) {
    const auto* guard = static_cast<const uint8_t*>(at) + bytes;
    CHECK(std::all_of(guard, guard + kGuardBytes, [](uint8_t b) { return b == kPattern; }));
    std::free(at);
  });
}

std::vector<uint32_t> OrderOf(ThreadOrder order) {
  std::vector<uint32_t> threads(kThreads);
  std::iota(threads.begin(), threads.end(), 0U);
  if (order == ThreadOrder::kBackward) std::reverse(threads.begin(), threads.end());
  if (order == ThreadOrder::kShuffled) {
    std::shuffle(threads.begin(), threads.end(), std::mt19937(7));
  }
  return threads;
}

class HostRecording final : public gpu::Recording {
 public:
  std::vector<std::function<void()>> steps;
};

}  // namespace

// Steps run at once, or are kept while a recording is made.
class HostStream final : public gpu::Stream {
 public:
  explicit HostStream(HostGpu& device)
      : device_(device), options_(device.options_), threads_(OrderOf(device.options_.order)) {}

  void CopyIn(void* to, const void* from, size_t bytes) override {
    Do([=] { std::memcpy(to, from, bytes); });
  }
  void CopyOut(void* to, const void* from, size_t bytes) override {
    Do([=] { std::memcpy(to, from, bytes); });
  }
  void CopyWithin(void* to, const void* from, size_t bytes) override { CopyIn(to, from, bytes); }
  void Zero(void* at, size_t bytes) override {
    Do([=] { std::memset(at, 0, bytes); });
  }

  void Scan(const gpu::ScanArgs& args, bool int8) override {
    Do([this, args, int8] {
      ++device_.scans_;
      switch (gpu::TileFor(args.word_count, args.query_count)) {
        case 1:
          return int8 ? ScanTiles<gpu::Int8Codes, 1>(args) : ScanTiles<gpu::BitCodes, 1>(args);
        case 4:
          return int8 ? ScanTiles<gpu::Int8Codes, 4>(args) : ScanTiles<gpu::BitCodes, 4>(args);
        default:
          return int8 ? ScanTiles<gpu::Int8Codes, gpu::kTileMax>(args)
                      : ScanTiles<gpu::BitCodes, gpu::kTileMax>(args);
      }
    });
  }
  void LowerBounds(const gpu::BoundArgs& args, uint32_t query_count) override {
    Do([this, args, query_count] {
      Grid(options_.blocks, query_count, [&](HostBlock& block) { gpu::LowerBounds(block, args); });
    });
  }
  void Select(const gpu::SelectArgs& args, uint32_t query_count) override {
    Do([this, args, query_count] {
      Grid(query_count, 1, [&](HostBlock& block) {
        gpu::SelectShared shared;
        std::memset(&shared, kPattern, sizeof(shared));
        gpu::Select(block, args, shared);
      });
    });
  }
  void GatherStored(const gpu::StoredArgs& args, uint32_t /*rows_max*/) override {
    Do([this, args] {
      Grid(options_.blocks, args.query_count, [&](HostBlock& block) {
        gpu::GatherShared shared;
        std::memset(&shared, kPattern, sizeof(shared));
        gpu::GatherStored(block, args, shared);
      });
    });
  }
  void GatherCodes(const gpu::CodesArgs& args, uint32_t query_count,
                   uint32_t /*rows_max*/) override {
    Do([this, args, query_count] {
      Grid(options_.blocks, query_count, [&](HostBlock& block) {
        gpu::GatherShared shared;
        std::memset(&shared, kPattern, sizeof(shared));
        gpu::GatherCodes(block, args, shared);
      });
    });
  }

  std::unique_ptr<gpu::Recording> Record(absl::FunctionRef<void()> steps) override {
    if (!options_.can_record) return nullptr;
    ++device_.recordings_;
    auto recording = std::make_unique<HostRecording>();
    recorded_ = &recording->steps;
    steps();
    recorded_ = nullptr;
    return recording;
  }
  void Replay(const gpu::Recording& recording) override {
    ++device_.replays_;
    for (const auto& step : dynamic_cast<const HostRecording&>(recording).steps) step();
  }
  absl::Status Wait() override {
    if (options_.on_wait) options_.on_wait();
    if (device_.failing_waits_ <= 0) return absl::OkStatus();
    --device_.failing_waits_;
    return absl::UnavailableError("gpu: the device was lost (a test asked for it)");
  }

 private:
  void Do(std::function<void()> step) {
    if (recorded_ != nullptr) {
      recorded_->push_back(std::move(step));
    } else {
      step();
    }
  }

  template <typename F>
  void Grid(uint32_t x_count, uint32_t y_count, const F& f) {
    for (uint32_t y = 0; y < y_count; ++y) {
      for (uint32_t i = 0; i < x_count; ++i) {
        const uint32_t x = options_.order == ThreadOrder::kForward ? i : x_count - 1 - i;
        HostBlock block(x, y, x_count, threads_);
        f(block);
      }
    }
  }

  template <typename Kind, uint32_t kTile>
  void ScanTiles(const gpu::ScanArgs& args) {
    std::vector<uint32_t> words(size_t{kTile} * args.word_count);
    CHECK(words.size() <= gpu::kTileWordsMax);  // a device's shared memory
    Grid(options_.blocks, (args.query_count + kTile - 1) / kTile, [&](HostBlock& block) {
      gpu::ScanShared<kTile> shared;
      std::memset(static_cast<void*>(&shared), kPattern, sizeof(shared));
      gpu::Scan<Kind, kTile>(block, args, shared, words.data());
    });
  }

  HostGpu& device_;
  const HostGpuOptions& options_;
  const std::vector<uint32_t> threads_;
  std::vector<std::function<void()>>* recorded_ = nullptr;
};

absl::StatusOr<Memory> HostGpu::AllocatePinned(size_t bytes) { return Guarded(bytes); }
absl::StatusOr<Memory> HostGpu::AllocateRaw(size_t bytes, absl::string_view what) {
  if (failing_allocations_ > 0 && allocations_before_-- <= 0) {
    --failing_allocations_;
    return absl::ResourceExhaustedError(std::string(what) + ": a test asked for it");
  }
  return Guarded(bytes);
}
absl::StatusOr<Memory> HostGpu::Map(const void* host, size_t bytes) {
  if (!options_.can_map) return absl::ResourceExhaustedError("gpu: nothing may be pinned");
  return Memory(const_cast<void*>(host), bytes, [](void*) {});
}
absl::Status HostGpu::Upload(void* device, const void* host, size_t bytes) {
  std::memcpy(device, host, bytes);
  return absl::OkStatus();
}
absl::StatusOr<std::unique_ptr<gpu::Stream>> HostGpu::MakeStream() {
  return std::make_unique<HostStream>(*this);
}

}  // namespace mrl::test
