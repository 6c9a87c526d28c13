// Which calls may wait for a worker, and whose turn is next.
//
// A call is refused at once when its turn would come after its deadline, when its key has used up
// its rate or its calls at a time, or when the queue is full of calls of owners who have no more
// waiting than its own has. Otherwise a full queue lets the newest call of the owner with most
// waiting go.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "index/schedule/worker_pool.h"
#include "server/admission/fair_queue.h"
#include "server/admission/token_bucket.h"

namespace mrl::server {

// Thread-safe.
class Admission {
 public:
  // A call, as far as this class knows it.
  class Task {
   public:
    virtual ~Task() = default;
    // On a worker. The task may be gone when this returns.
    virtual void Run() = 0;
    // On any thread; the task may be gone when this returns. RESOURCE_EXHAUSTED.
    virtual void Refuse(absl::Status why) = 0;
  };

  // Whose call it is, and what that owner may use.
  struct Claim {
    absl::string_view owner;       // the key's id; empty without keys
    absl::string_view collection;  // may be empty
    absl::Time deadline = absl::InfiniteFuture();
    double requests_per_s = 0;  // 0 = no limit
    int64_t burst = 0;          // 0 = what comes in one second, and 1 at least
    int64_t in_flight_max = 0;  // 0 = no limit
  };

  using Clock = std::function<absl::Time()>;

  // `pool` outlives this and takes `queue_max` tasks at least.
  Admission(schedule::WorkerPool& pool, size_t queue_max, Clock now = absl::Now);

  // OK: exactly one of Run and Refuse is called, perhaps before this returns, and End must be
  // called when the call has ended. Otherwise RESOURCE_EXHAUSTED with reason, RetryInfo and, where
  // it is the owner's own limit, QuotaFailure; UNAVAILABLE when the pool is shutting down.
  absl::Status Admit(const Claim& claim, Task* task);
  // The next step of a call that was admitted: it waits its turn, but no limit refuses it.
  // UNAVAILABLE or RESOURCE_EXHAUSTED when the pool does not take it.
  absl::Status Resume(const Claim& claim, Task* task);
  void End(absl::string_view owner);

  size_t waiting() const;
  size_t queue_max() const { return queue_max_; }

 private:
  // What is remembered of an owner between its calls.
  struct Account {
    TokenBucket bucket;
    int64_t in_flight = 0;
  };

  absl::Status CheckOwner(const Claim& claim, absl::Time now, Account* account)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckDeadline(const Claim& claim, absl::Time now) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Sets `displaced` to a task that has to go for this one, if any.
  absl::Status Enqueue(const Claim& claim, Task* task, Task** displaced)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status QueueFull() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Duration WaitBehind(size_t tasks) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Account& AccountOf(absl::string_view owner) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // One for each waiting task is in the pool.
  void RunNext();

  schedule::WorkerPool& pool_;
  const size_t queue_max_;
  const Clock now_;
  mutable absl::Mutex mutex_;
  FairQueue<Task*> queue_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Account, std::less<>> accounts_ ABSL_GUARDED_BY(mutex_);
  double mean_run_s_ ABSL_GUARDED_BY(mutex_) = 0;  // moving, over the last few dozen runs
};

}  // namespace mrl::server
