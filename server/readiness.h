// Where the server stands in its life: STARTING, SERVING, DRAINING, CLOSED.
#pragma once

#include <atomic>
#include <string>

#include "absl/status/status.h"

namespace mrl::server {

// Thread-safe. Goes forward only.
class Readiness {
 public:
  // DRAINING tells balancers to go elsewhere and still answers; CLOSED refuses.
  enum class State { kStarting, kServing, kDraining, kClosed };

  State state() const { return state_.load(std::memory_order_acquire); }
  void Advance(State state) { state_.store(state, std::memory_order_release); }
  // "starting", "serving", "draining", "closed".
  const char* name() const;
  // OK while calls are taken: SERVING and DRAINING. UNAVAILABLE with RetryInfo before and after.
  absl::Status CheckOpen() const;

 private:
  std::atomic<State> state_{State::kStarting};
};

}  // namespace mrl::server
