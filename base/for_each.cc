#include "base/for_each.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "base/check.h"

namespace mrl {

absl::Status ForEach(size_t count, size_t threads,
                     const std::function<absl::Status(size_t)>& work) {
  std::atomic<size_t> next{0};
  absl::Mutex mutex;
  absl::Status failed;
  const auto loop = [&] {
    for (size_t i = next++; i < count; i = next++) {
      absl::Status status = work(i);
      if (status.ok()) continue;
      absl::MutexLock lock(&mutex);
      failed.Update(status);
      next = count;  // the other threads stop too
      return;
    }
  };
  std::vector<std::thread> others;
  for (size_t i = 1; i < std::min(threads, count); ++i) others.emplace_back(loop);
  loop();
  for (std::thread& other : others) other.join();
  return failed;
}

void ForEachRange(size_t count, size_t size, size_t threads,
                  const std::function<void(size_t, size_t)>& work) {
  const auto range = [&](size_t piece) {
    work(piece * size, std::min(count, (piece + 1) * size));
    return absl::OkStatus();
  };
  CHECK(ForEach((count + size - 1) / size, threads, range).ok());
}

}  // namespace mrl
