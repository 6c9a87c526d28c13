#include "server/rpc/refusal_log.h"

#include <chrono>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/log.h"

namespace mrl::server {

void RefusalLog::Note(absl::string_view reason) {
  constexpr int64_t kEveryNs = 1'000'000'000;
  refused_.fetch_add(1, std::memory_order_relaxed);
  const int64_t now = std::chrono::steady_clock::now().time_since_epoch().count();
  int64_t next = next_ns_.load(std::memory_order_relaxed);
  if (now < next || !next_ns_.compare_exchange_strong(next, now + kEveryNs)) return;
  Log(spdlog::level::warn, "calls refused",
      {{"count", absl::StrCat(refused_.exchange(0))}, {"reason", std::string(reason)}});
}

}  // namespace mrl::server
