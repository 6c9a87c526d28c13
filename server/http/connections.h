// The connections of the HTTP port: a bounded number, so that clients that are slow, or many,
// cannot keep a probe out. Where one more comes than there are places, the oldest is shut down for
// it: a request takes milliseconds, what is old waits for its client.
#pragma once

#include <cstddef>
#include <deque>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace mrl::server {

// Thread-safe. A socket is closed only by Leave, after it was taken out: none is shut down whose
// number has been given out again.
class Connections {
 public:
  explicit Connections(size_t max) : max_(max) {}

  // Takes a place for a connection that comes; waits until the oldest, shut down, gave its own
  // back.
  void Reserve();
  // The connection of a place that was reserved.
  void Enter(int socket);
  // Closes it and gives the place back.
  void Leave(int socket);
  // Shuts down those that are open, and what enters later.
  void ShutDown();

 private:
  const size_t max_;
  absl::Mutex mutex_;
  size_t taken_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<int> open_ ABSL_GUARDED_BY(mutex_);  // sockets, the oldest first
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace mrl::server
