#include "server/service/aside.h"

#include <utility>

namespace mrl::server {

Aside::Aside() : worker_([this] { Work(); }) {}

Aside::~Aside() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    waiting_.clear();
  }
  worker_.join();
}

bool Aside::Offer(std::function<void()> work) {
  absl::MutexLock lock(&mutex_);
  if (waiting_.size() >= kWaitingMax) return false;
  waiting_.push_back(std::move(work));
  return true;
}

bool Aside::stopping() const {
  absl::MutexLock lock(&mutex_);
  return stopping_;
}

void Aside::Work() {
  const auto ready = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !waiting_.empty();
  };
  while (true) {
    std::function<void()> work;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&ready));
      if (stopping_) return;
      work = std::move(waiting_.front());
      waiting_.pop_front();
    }
    work();
  }
}

}  // namespace mrl::server
