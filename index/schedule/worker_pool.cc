#include "index/schedule/worker_pool.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace mrl::schedule {
namespace {

// The pieces of one Run, shared with helpers that may come when all are taken, and even after Run
// has returned: such a helper does not touch the function.
class Pieces {
 public:
  Pieces(size_t count, absl::FunctionRef<void(size_t)> piece) : count_(count), piece_(piece) {}

  // Runs pieces until all are taken.
  void Work() {
    size_t ended = 0;
    for (size_t i = next_.fetch_add(1); i < count_; i = next_.fetch_add(1)) {
      piece_(i);
      ++ended;
    }
    if (ended == 0) return;
    absl::MutexLock lock(&mutex_);
    ended_ += ended;
  }
  void WaitForAll() { absl::MutexLock lock(&mutex_, absl::Condition(this, &Pieces::AllEnded)); }

 private:
  bool AllEnded() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return ended_ == count_; }

  const size_t count_;
  const absl::FunctionRef<void(size_t)> piece_;
  std::atomic<size_t> next_ = 0;
  absl::Mutex mutex_;
  size_t ended_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace

WorkerPool::WorkerPool(size_t threads, size_t queue_max) : queue_max_(queue_max) {
  CHECK(threads >= 1);
  CHECK(queue_max >= 1);
  workers_.reserve(threads);
  for (size_t i = 0; i < threads; ++i) workers_.emplace_back([this] { Work(); });
}

WorkerPool::~WorkerPool() { Shutdown(); }

absl::Status WorkerPool::Submit(std::function<void()> task) {
  absl::MutexLock lock(&mutex_);
  if (stopping_) return absl::UnavailableError("the worker pool is shutting down");
  if (queue_.size() >= queue_max_) {
    return absl::ResourceExhaustedError(absl::StrCat("the queue is full: ", queue_.size(),
                                                     " tasks wait, the limit is ", queue_max_));
  }
  queue_.push_back(std::move(task));
  return absl::OkStatus();
}

void WorkerPool::Shutdown() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  absl::MutexLock lock(&join_mutex_);
  for (std::thread& worker : workers_) {
    if (worker.joinable()) worker.join();
  }
}

size_t WorkerPool::queued() const {
  absl::MutexLock lock(&mutex_);
  return queue_.size();
}

WorkerPool::Guest::Guest(WorkerPool& pool) : pool_(pool) {
  absl::MutexLock lock(&pool_.mutex_);
  ++pool_.running_;
}

WorkerPool::Guest::~Guest() {
  absl::MutexLock lock(&pool_.mutex_);
  --pool_.running_;
}

size_t WorkerPool::width() const {
  absl::MutexLock lock(&mutex_);
  return queue_.empty() ? 1 + workers_.size() - std::min(running_, workers_.size()) : 1;
}

void WorkerPool::Run(size_t pieces, absl::FunctionRef<void(size_t)> piece) {
  const size_t helpers = std::min(width(), pieces) - std::min<size_t>(pieces, 1);
  const auto shared = std::make_shared<Pieces>(pieces, piece);
  for (size_t i = 0; i < helpers; ++i) {
    if (!Submit([shared] { shared->Work(); }).ok()) break;
  }
  shared->Work();
  shared->WaitForAll();
}

void WorkerPool::Work() {
  absl::MutexLock lock(&mutex_);
  while (true) {
    mutex_.Await(absl::Condition(this, &WorkerPool::HasWorkOrStops));
    if (queue_.empty()) return;
    std::function<void()> task = std::move(queue_.front());
    queue_.pop_front();
    ++running_;
    mutex_.Unlock();
    task();
    task = nullptr;  // what it holds goes outside of the lock
    mutex_.Lock();
    --running_;
  }
}

}  // namespace mrl::schedule
