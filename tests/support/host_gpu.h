// The launcher that runs our GPU kernels on the host, for tests.
//
// A kernel's logic is a template over the block of threads that runs it (index/coarse/gpu/block.h).
// Here a block is a loop: Each(f) calls f for thread 0, 1, … to the last and returns, which is what
// the barrier at the end of a phase means; the blocks of a grid run one after the other, in
// whichever order a test asks for. Order within a phase and among blocks is the one thing that a
// device is free to choose, so tests run the same thing forward, backward and shuffled.
//
// Device memory is host memory that is filled with a pattern first and checked for writes past its
// end when it is given back. Mapped memory is the host's own.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "index/coarse/gpu/runtime.h"

namespace mrl::test {

enum class ThreadOrder : uint8_t { kForward, kBackward, kShuffled };

class HostBlock {
 public:
  HostBlock(uint32_t x, uint32_t y, uint32_t x_count, const std::vector<uint32_t>& order)
      : x_(x), y_(y), x_count_(x_count), order_(order) {}

  uint32_t x() const { return x_; }
  uint32_t y() const { return y_; }
  uint32_t x_count() const { return x_count_; }
  template <typename F>
  void Each(const F& f) const {
    for (const uint32_t thread : order_) f(thread);
  }
  // What was there before.
  uint32_t Add(uint32_t* at, uint32_t value) const {
    const uint32_t before = *at;
    *at += value;
    return before;
  }

 private:
  const uint32_t x_;
  const uint32_t y_;
  const uint32_t x_count_;
  const std::vector<uint32_t>& order_;  // of the threads
};

struct HostGpuOptions {
  uint64_t memory_bytes = uint64_t{1} << 32;
  ThreadOrder order = ThreadOrder::kForward;
  uint32_t blocks = 3;     // in x, of every grid that is cut in x: few, so that each loops
  bool can_map = true;     // false: Map fails, as where the system refuses to pin
  bool can_record = true;  // false: Record gives null
  std::function<void()> on_wait = {};  // called by Wait, as the time that a device takes
};

// A device whose memory and threads are the host's.
class HostGpu final : public coarse::gpu::Device {
 public:
  explicit HostGpu(const HostGpuOptions& options)
      : Device(options.memory_bytes), options_(options) {}

  int number() const override { return 0; }
  std::string name() const override { return "the host, for tests"; }
  absl::StatusOr<coarse::gpu::Memory> AllocatePinned(size_t bytes) override;
  absl::StatusOr<coarse::gpu::Memory> Map(const void* host, size_t bytes) override;
  absl::Status Upload(void* device, const void* host, size_t bytes) override;
  absl::StatusOr<std::unique_ptr<coarse::gpu::Stream>> MakeStream() override;

  // Steps that streams ran since the start, for tests of what a search costs.
  uint64_t scans() const { return scans_; }
  uint64_t replays() const { return replays_; }
  uint64_t recordings() const { return recordings_; }
  // Makes the next `count` waits fail, as a device that was lost does.
  void FailWaits(int count) { failing_waits_ = count; }
  // Makes the `count` allocations of device memory after the next `after` fail, as where another
  // process took the memory.
  void FailAllocations(int count, int after = 0) {
    failing_allocations_ = count;
    allocations_before_ = after;
  }

 protected:
  absl::StatusOr<coarse::gpu::Memory> AllocateRaw(size_t bytes, absl::string_view what) override;

 private:
  friend class HostStream;
  const HostGpuOptions options_;
  std::atomic<uint64_t> scans_ = 0;
  std::atomic<uint64_t> replays_ = 0;
  std::atomic<uint64_t> recordings_ = 0;
  std::atomic<int> failing_waits_ = 0;
  std::atomic<int> failing_allocations_ = 0;
  std::atomic<int> allocations_before_ = 0;
};

}  // namespace mrl::test
