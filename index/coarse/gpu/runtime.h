// What our kernels need of a device. The CUDA runtime is behind it in cuda_runtime.cu; in tests the
// kernels' host form is (tests/support/host_gpu.h). Nothing here needs CUDA to be compiled.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/memory_account.h"
#include "index/coarse/gpu/bound_kernel.h"
#include "index/coarse/gpu/gather_kernel.h"
#include "index/coarse/gpu/scan_kernel.h"
#include "index/coarse/gpu/select_kernel.h"

namespace mrl::coarse::gpu {

// Memory that the runtime gave: a device's own, or pinned memory of the host. Gives itself back.
// Move-only; outlived by its device.
class Memory {
 public:
  Memory() = default;
  Memory(void* data, size_t bytes, std::function<void(void*)> release)
      : data_(data), bytes_(bytes), release_(std::move(release)) {}
  Memory(Memory&& other) noexcept { *this = std::move(other); }
  Memory& operator=(Memory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(release_, other.release_);
    return *this;
  }
  ~Memory() {
    if (data_ != nullptr) release_(data_);
  }

  size_t bytes() const { return bytes_; }
  template <typename T>
  T* As() const {
    return static_cast<T*>(data_);
  }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
  std::function<void(void*)> release_;
};

// A series of steps that was recorded once and can be run again with what its buffers hold then.
class Recording {
 public:
  virtual ~Recording() = default;
};

// A CUDA stream: steps run in the order in which they were asked for, beside the caller. Errors are
// kept and given by the next Wait. Not thread-safe.
class Stream {
 public:
  virtual ~Stream() = default;
  virtual void CopyIn(void* device, const void* host, size_t bytes) = 0;  // host: pinned
  virtual void CopyOut(void* host, const void* device, size_t bytes) = 0;
  virtual void CopyWithin(void* to, const void* from, size_t bytes) = 0;  // for measuring
  virtual void Zero(void* device, size_t bytes) = 0;
  // Over 8-bit codes, or over those of 1, 2 and 4 bits.
  virtual void Scan(const ScanArgs& args, bool int8) = 0;
  virtual void LowerBounds(const BoundArgs& args, uint32_t query_count) = 0;
  virtual void Select(const SelectArgs& args, uint32_t query_count) = 0;
  // `rows_max`: no list of the batch is longer.
  virtual void GatherStored(const StoredArgs& args, uint32_t rows_max) = 0;
  virtual void GatherCodes(const CodesArgs& args, uint32_t query_count, uint32_t rows_max) = 0;
  // Runs `steps`, which call this stream and nothing else, without effect, and keeps what they
  // asked for (a CUDA graph). Null where that failed: then the steps are to be run one by one.
  virtual std::unique_ptr<Recording> Record(absl::FunctionRef<void()> steps) = 0;
  virtual void Replay(const Recording& recording) = 0;
  // RESOURCE_EXHAUSTED when memory ran out, UNAVAILABLE for any other fault of the device.
  virtual absl::Status Wait() = 0;
};

// One device. Thread-safe.
class Device {
 public:
  // `limit_bytes`: what may be taken of its memory.
  explicit Device(uint64_t limit_bytes) : account_(limit_bytes) {}
  virtual ~Device() = default;

  virtual int number() const = 0;        // of the CUDA device
  virtual std::string name() const = 0;  // "0: NVIDIA H100 80GB HBM3 (9.0, 81559 MiB)"
  // What has been taken of its memory, and the limit.
  const MemoryAccount& account() const { return account_; }
  // What indexes leave free of it: for the batches that run at a time.
  uint64_t batch_bytes() const { return std::min(kBatchBytesMax, account_.limit_bytes() / 8); }
  // Whether so much of an index fits beside that.
  bool HasRoom(uint64_t bytes) const {
    return account_.used_bytes() + batch_bytes() + bytes <= account_.limit_bytes();
  }
  // As HasRoom; RESOURCE_EXHAUSTED, with the numbers.
  absl::Status CheckRoom(uint64_t bytes, absl::string_view what) const;
  // For memory that another library takes.
  absl::StatusOr<MemoryAccount::Reservation> Reserve(uint64_t bytes, absl::string_view what) {
    return account_.Reserve(bytes, what);
  }
  // How often memory was given back: while it stays, what found no room finds none now.
  uint64_t given_back() const { return given_back_; }
  void GaveBack() { ++given_back_; }
  // A number that this device gives once.
  uint64_t NextSerial() { return ++serial_; }

  // True for good after a fault: CUDA gives the error of one call to every later one, and FAISS
  // ends the process at it, so nothing more is asked of the device.
  bool lost() const { return lost_; }
  // What the fault said; "" before there was one.
  std::string fault() const;
  // UNAVAILABLE, with the fault, once it is lost.
  absl::Status CheckLost() const;
  // Takes note of how a call ended: with UNAVAILABLE the device is lost.
  void Note(const absl::Status& status);
  // `warn` is called once, when the device is lost, by the thread whose call failed.
  void WarnBy(std::function<void(const std::string&)> warn) { warn_ = std::move(warn); }

  // RESOURCE_EXHAUSTED, naming `what`, where the limit or the device refuses.
  absl::StatusOr<Memory> Allocate(size_t bytes, absl::string_view what);
  virtual absl::StatusOr<Memory> AllocatePinned(size_t bytes) = 0;
  // Lets the device read memory of the host where it is; As() gives what kernels take. The memory
  // outlives what is returned.
  virtual absl::StatusOr<Memory> Map(const void* host, size_t bytes) = 0;
  // Copies and waits.
  virtual absl::Status Upload(void* device, const void* host, size_t bytes) = 0;
  virtual absl::StatusOr<std::unique_ptr<Stream>> MakeStream() = 0;

 protected:
  virtual absl::StatusOr<Memory> AllocateRaw(size_t bytes, absl::string_view what) = 0;

 private:
  static constexpr uint64_t kBatchBytesMax = uint64_t{1} << 30;

  MemoryAccount account_;
  std::atomic<uint64_t> given_back_ = 0;
  std::atomic<uint64_t> serial_ = 0;
  std::function<void(const std::string&)> warn_;
  std::atomic<bool> lost_ = false;
  mutable absl::Mutex mutex_;
  std::string fault_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mrl::coarse::gpu
