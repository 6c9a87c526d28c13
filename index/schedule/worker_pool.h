// The threads that do the searching, behind one bounded queue.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "base/parallel.h"

namespace mrl::schedule {

// Thread-safe. Tasks start in the order they were submitted.
class WorkerPool final : public Parallel {
 public:
  // `threads` and `queue_max` are at least 1. `queue_max` bounds the tasks that wait, not those
  // that run.
  WorkerPool(size_t threads, size_t queue_max);
  // Shuts down, if nobody did.
  ~WorkerPool() override;
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // RESOURCE_EXHAUSTED, naming the limit, when `queue_max` tasks wait already; UNAVAILABLE after
  // Shutdown. In both cases `task` never runs.
  absl::Status Submit(std::function<void()> task);

  // Refuses new tasks, runs those that wait, and returns when the last has ended. May be called
  // more than once, never from a task.
  void Shutdown();

  size_t threads() const { return workers_.size(); }
  size_t queue_max() const { return queue_max_; }
  // Tasks that wait now.
  size_t queued() const;

  // A task that runs on another thread takes the place of a worker while this exists.
  class Guest {
   public:
    explicit Guest(WorkerPool& pool);
    ~Guest();
    Guest(const Guest&) = delete;
    Guest& operator=(const Guest&) = delete;

   private:
    WorkerPool& pool_;
  };

  // Idle workers help a worker or a guest, and only while no task waits.
  size_t width() const override;
  void Run(size_t pieces, absl::FunctionRef<void(size_t)> piece) override;

 private:
  void Work();
  bool HasWorkOrStops() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !queue_.empty();
  }

  const size_t queue_max_;
  mutable absl::Mutex mutex_;
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  size_t running_ ABSL_GUARDED_BY(mutex_) = 0;  // workers with a task, and guests
  absl::Mutex join_mutex_;                      // one Shutdown joins, the others wait for it
  std::vector<std::thread> workers_;
};

}  // namespace mrl::schedule
