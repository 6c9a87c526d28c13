// What one batch of queries works in: a stream, buffers, and recordings of earlier batches.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "index/coarse/gpu/runtime.h"

namespace mrl::coarse::gpu {

// Used by one thread at a time.
class Workspace {
 public:
  static absl::StatusOr<std::unique_ptr<Workspace>> Make(Device& device);

  Stream& stream() { return *stream_; }
  // Room for so many bytes of input (on both sides), of lists, and of output (on both sides). What
  // was there is lost, with the recordings, when a buffer has to grow.
  absl::Status Reserve(size_t input_bytes, size_t list_bytes, size_t output_bytes);

  uint8_t* host_input() { return host_input_.As<uint8_t>(); }
  uint8_t* input() { return input_.As<uint8_t>(); }
  uint8_t* lists() { return lists_.As<uint8_t>(); }
  uint8_t* output() { return output_.As<uint8_t>(); }
  uint8_t* host_output() { return host_output_.As<uint8_t>(); }

  // What is known of the steps of that key. To be used before the next call of either.
  struct Known {
    bool seen = false;  // they were asked for before, and may be worth recording
    const Recording* recording = nullptr;
  };
  Known Find(const std::string& key);
  const Recording& Keep(const std::string& key, std::unique_ptr<Recording> recording);

 private:
  // Those that were used last are kept.
  static constexpr size_t kRecordingsMax = 64;
  struct Recorded {
    std::unique_ptr<Recording> recording;  // null after the first use
    uint64_t last_use = 0;
  };

  Workspace(Device& device, std::unique_ptr<Stream> stream)
      : device_(device), stream_(std::move(stream)) {}
  absl::Status Grow(Memory& memory, size_t bytes, bool pinned);

  Device& device_;
  Memory host_input_;
  Memory input_;
  Memory lists_;
  Memory output_;
  Memory host_output_;
  std::map<std::string, Recorded> recordings_;
  uint64_t uses_ = 0;
  const std::unique_ptr<Stream> stream_;  // goes first: it may still be at work
};

// The workspaces of a device: so many batches run on it at a time. Thread-safe.
class WorkspacePool {
 public:
  // `count` is at least 1; workspaces are made when they are first needed.
  WorkspacePool(Device& device, size_t count) : device_(device), count_(count), left_(count) {}

  // One workspace for as long as this lives.
  class Lease {
   public:
    Lease(WorkspacePool& pool, std::unique_ptr<Workspace> workspace)
        : pool_(pool), workspace_(std::move(workspace)) {}
    ~Lease() { pool_.Return(std::move(workspace_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Workspace& operator*() { return *workspace_; }
    // It failed: the next user gets a new one.
    void Discard() { workspace_ = nullptr; }

   private:
    WorkspacePool& pool_;
    std::unique_ptr<Workspace> workspace_;
  };
  // Waits until one is free.
  absl::StatusOr<std::unique_ptr<Lease>> Take();
  Device& device() { return device_; }
  size_t count() const { return count_; }

 private:
  void Return(std::unique_ptr<Workspace> workspace);

  Device& device_;
  const size_t count_;
  absl::Mutex mutex_;
  size_t left_ ABSL_GUARDED_BY(mutex_);  // that may be taken now, made or not
  std::vector<std::unique_ptr<Workspace>> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mrl::coarse::gpu
