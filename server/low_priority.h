// Threads that must not be felt.
#pragma once

#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <cerrno>
#include <mutex>
#include <system_error>

namespace mrl::server {

// The calling thread, and those that it starts, run when the others leave room: a merge takes
// longer then, and searches do not. (On Linux a priority is a thread's.) Where the system refuses
// it, as a filter of system calls does, the log says so once.
inline void LowerPriority() {
  constexpr int kNice = 10;
  if (setpriority(PRIO_PROCESS, 0, kNice) == 0) return;
  static std::once_flag said;
  std::call_once(said, [error = errno] {
    spdlog::warn("setpriority: {}: merges and other work in the background slow searches down",
                 std::generic_category().message(error));
  });
}

}  // namespace mrl::server
