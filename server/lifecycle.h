// Signals, taken by one thread of their own with sigwait; a handler only passes them on to it.
#pragma once

#include <signal.h>

#include <atomic>
#include <deque>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace mrl::server {

// One at a time in a process. Threads started later inherit the blocked
// signals; those started before (by libraries) hand theirs over. Thread-safe.
class Signals {
 public:
  enum class Event { kReload, kStop };

  // Blocks SIGTERM, SIGINT and SIGHUP, ignores SIGPIPE, and starts the thread.
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  // Waits for the next event: SIGHUP is kReload, SIGTERM and SIGINT are kStop. A second SIGTERM or
  // SIGINT ends the process at once with exit code 128 + signal.
  Event Next();
  // Whether SIGTERM or SIGINT came.
  bool stopping() const { return stopping_.load(std::memory_order_acquire); }

 private:
  void Listen();

  sigset_t set_;
  std::atomic<bool> stopping_{false};
  absl::Mutex mutex_;
  std::deque<Event> events_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace mrl::server
