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
  }
  return "unknown";
}

absl::Status Readiness::CheckOpen() const {
  if (state() != State::kStarting) return absl::OkStatus();
  return WithRetryAfter(
      WithReason(absl::UnavailableError("the server is starting: it opens its collections"),
                 kReasonStarting),
      absl::Seconds(1));
}

}  // namespace mrl::server
