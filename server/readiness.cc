#include "server/readiness.h"

#include "absl/time/time.h"
#include "server/rpc/error.h"
#include "server/rpc/reason.h"

namespace mrl::server {

const char* Readiness::name() const {
  switch (state()) {
    case State::kStarting:
      return "starting";
    case State::kServing:
      return "serving";
    case State::kDraining:
      return "draining";
    case State::kClosed:
      return "closed";
  }
  return "unknown";
}

absl::Status Readiness::CheckOpen() const {
  const State now = state();
  if (now == State::kServing || now == State::kDraining) return absl::OkStatus();
  const bool starting = now == State::kStarting;
  return WithRetryAfter(WithReason(absl::UnavailableError(
                                       starting ? "the server is starting: it opens its collections"
                                                : "the server is stopping"),
                                   starting ? kReasonStarting : kReasonStopping),
                        absl::Seconds(1));
}

}  // namespace mrl::server
