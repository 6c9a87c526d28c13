// Work beside the answers, on one thread of its own, so that no caller waits for it.
#pragma once

#include <deque>
#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace mrl::server {

// Thread-safe. What comes faster than it is done is refused.
class Aside {
 public:
  static constexpr size_t kWaitingMax = 16;

  Aside();
  // Drops what waits and ends when what runs has ended: long work asks stopping().
  ~Aside();

  // False when too much waits.
  bool Offer(std::function<void()> work);
  bool stopping() const;

 private:
  void Work();

  mutable absl::Mutex mutex_;
  std::deque<std::function<void()>> waiting_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread worker_;
};

}  // namespace mrl::server
