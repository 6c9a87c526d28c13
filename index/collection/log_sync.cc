#include "index/collection/log_sync.h"

#include "base/planted.h"

namespace mrl::collection {

uint64_t LogSync::Note() {
  absl::MutexLock lock(&mutex_);
  return ++noted_;
}

absl::Status LogSync::WaitFor(uint64_t number) {
  absl::MutexLock lock(&mutex_);
  while (synced_ < number && error_.ok()) {
    if (running_) {
      ended_.Wait(&mutex_);
      continue;
    }
    running_ = true;
    const uint64_t covers = noted_;
    mutex_.Unlock();
    const absl::Status synced = Planted(Bug::kLogNotSynced) ? absl::OkStatus() : database_.Sync();
    mutex_.Lock();
    running_ = false;
    if (synced.ok()) {
      synced_ = covers;
    } else {
      error_ = synced;
    }
    ended_.SignalAll();
  }
  return synced_ >= number ? absl::OkStatus() : error_;
}

absl::Status LogSync::WaitForAll() {
  uint64_t number = 0;
  {
    absl::MutexLock lock(&mutex_);
    number = noted_;
  }
  return WaitFor(number);
}

bool LogSync::behind() const {
  absl::MutexLock lock(&mutex_);
  return synced_ < noted_;
}

absl::Status LogSync::error() const {
  absl::MutexLock lock(&mutex_);
  return error_;
}

}  // namespace mrl::collection
