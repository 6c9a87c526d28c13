// A loop over independent items on a few threads, for what takes long: builds and measurements. A
// search has the workers of index/schedule instead.
#pragma once

#include <cstddef>
#include <functional>

#include "absl/status/status.h"

namespace mrl {

// Calls `work` for 0 to `count` - 1, each once, from `threads` threads at most (0 counts as 1).
// After the first error no further item starts; that error is returned.
absl::Status ForEach(size_t count, size_t threads, const std::function<absl::Status(size_t)>& work);

// Calls `work(begin, end)` for ranges that cut 0 to `count` - 1 into pieces of `size`, the last one
// shorter; each once, from `threads` threads at most.
void ForEachRange(size_t count, size_t size, size_t threads,
                  const std::function<void(size_t, size_t)>& work);

}  // namespace mrl
