// One piece of work on a thread of its own, beside the caller's: what is read ahead or written
// behind.
#pragma once

#include <functional>
#include <thread>

#include "absl/status/status.h"

namespace mrl {

// Not thread-safe. Waits for what is running when it is destroyed.
class Background {
 public:
  Background() = default;
  ~Background() { Wait().IgnoreError(); }
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  // Nothing may be running: whatever was started was waited for.
  void Start(std::function<absl::Status()> work);
  // What the work that was started last ended with; OK when there is none.
  absl::Status Wait();

 private:
  std::thread thread_;
  absl::Status status_;  // of the thread's, until it is joined
};

}  // namespace mrl
