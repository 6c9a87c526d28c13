// Threads that must not be felt.
#pragma once

#include <sys/resource.h>

namespace mrl::server {

// The calling thread, and those that it starts, run when the others leave room: a merge takes
// longer then, and searches do not. (On Linux a priority is a thread's.)
inline void LowerPriority() {
  constexpr int kNice = 10;
  setpriority(PRIO_PROCESS, 0, kNice);
}

}  // namespace mrl::server
