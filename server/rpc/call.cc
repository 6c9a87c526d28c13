#include "server/rpc/call.h"

#include <spdlog/spdlog.h>

#include <string>

namespace mrl::server {

Call::Call(absl::string_view method, const grpc::CallbackServerContext& context)
    : method_(method), arrival_(std::chrono::steady_clock::now()), deadline_(context.deadline()) {}

bool Call::stopped() const {
  return cancelled_.load(std::memory_order_relaxed) ||
         std::chrono::system_clock::now() >= deadline_;
}

absl::Status Call::CheckStopped() const {
  if (std::chrono::system_clock::now() >= deadline_) {
    return absl::DeadlineExceededError("the call's deadline has passed");
  }
  if (cancelled_.load(std::memory_order_relaxed)) {
    return absl::CancelledError("the caller cancelled the call");
  }
  return absl::OkStatus();
}

double Call::elapsed_micros() const {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - arrival_)
      .count();
}

grpc::Status Call::End(absl::Status status) const {
  // The engine knows only that it was stopped; which of the two it was is known here.
  if (absl::IsCancelled(status)) {
    if (absl::Status cause = CheckStopped(); !cause.ok()) status = std::move(cause);
  }
  const std::string method(method_);
  if (status.ok()) {
    spdlog::debug("{} ok queue_us={:.0f} total_us={:.0f}", method, queue_micros_, elapsed_micros());
  } else {
    spdlog::info("{} {} queue_us={:.0f} total_us={:.0f}", method, status.ToString(), queue_micros_,
                 elapsed_micros());
  }
  return ToGrpc(status);
}

}  // namespace mrl::server
