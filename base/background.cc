#include "base/background.h"

#include <utility>

#include "base/check.h"

namespace mrl {

void Background::Start(std::function<absl::Status()> work) {
  CHECK(!thread_.joinable());
  thread_ = std::thread([this, work = std::move(work)] { status_ = work(); });
}

absl::Status Background::Wait() {
  if (!thread_.joinable()) return absl::OkStatus();
  thread_.join();
  return std::exchange(status_, absl::OkStatus());
}

}  // namespace mrl
