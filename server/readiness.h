// Where the server stands in its life: STARTING, SERVING, DRAINING.
#pragma once

#include <atomic>
#include <string>

#include "absl/status/status.h"

namespace mrl::server {

// Thread-safe. Goes forward only.
class Readiness {
 public:
  enum class State { kStarting, kServing, kDraining };

  State state() const { return state_.load(std::memory_order_acquire); }
  void Advance(State state) { state_.store(state, std::memory_order_release); }
  // "starting", "serving", "draining".
  const char* name() const;
  // OK while calls are taken: SERVING, and DRAINING until the port is closed. UNAVAILABLE with
  // RetryInfo before.
  absl::Status CheckOpen() const;

 private:
  std::atomic<State> state_{State::kStarting};
};

}  // namespace mrl::server
