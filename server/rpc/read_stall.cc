#include "server/rpc/read_stall.h"

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"

namespace mrl::server {

// Outlives the call when an alarm is on its way.
struct ReadStall::Watched {
  absl::Mutex mutex;
  grpc::CallbackServerContext* context ABSL_GUARDED_BY(mutex) = nullptr;  // null = the call is over
  uint64_t write ABSL_GUARDED_BY(mutex) = 0;  // odd while one is going on
};

ReadStall::ReadStall(grpc::CallbackServerContext& context) : watched_(std::make_shared<Watched>()) {
  absl::MutexLock lock(&watched_->mutex);
  watched_->context = &context;
}

ReadStall::~ReadStall() {
  absl::MutexLock lock(&watched_->mutex);
  watched_->context = nullptr;
}

void ReadStall::Begin(absl::Duration limit) {
  uint64_t write = 0;
  {
    absl::MutexLock lock(&watched_->mutex);
    write = ++watched_->write;
  }
  alarm_ = std::make_unique<grpc::Alarm>();
  alarm_->Set(absl::ToChronoTime(absl::Now() + limit), [watched = watched_, write](bool due) {
    absl::MutexLock lock(&watched->mutex);
    if (due && watched->context != nullptr && watched->write == write) {
      watched->context->TryCancel();
    }
  });
}

void ReadStall::End() {
  absl::MutexLock lock(&watched_->mutex);
  ++watched_->write;
}

}  // namespace mrl::server
