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
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
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
    // Whether RunHere may be called.
    virtual bool may_run_here() const { return false; }
    // Instead of Run: inside Admit, on the caller's thread.
    virtual void RunHere() { Run(); }
    // Tasks of one collection that answer alike, and not with null, may run as one.
    virtual const void* joins_as() const { return nullptr; }
    // Instead of Run of each: this task and `others`, which have left the queue too.
    virtual void RunWith(absl::Span<Task* const> others) {
      Run();
      for (Task* other : others) other->Run();
    }
  };

  // What somebody may use.
  struct Allowance {
    double requests_per_s = 0;  // 0 = no limit
    int64_t burst = 0;          // 0 = what comes in one second, and 1 at least
    int64_t in_flight_max = 0;  // 0 = no limit
  };
  // Whose call it is, and what that owner and that collection may use.
  struct Claim {
    absl::string_view owner;       // the key's id; empty without keys
    absl::string_view collection;  // may be empty
    absl::Time deadline = absl::InfiniteFuture();
    Allowance of_owner = {};
    absl::string_view quota = {};  // the collection's own name; empty = it has no quota
    Allowance of_collection = {};  // what the quota allows
  };

  using Clock = std::function<absl::Time()>;

  // At most this many tasks run as one.
  static constexpr size_t kJoinedMax = 16;

  // `pool` outlives this and takes `queue_max` tasks at least. Up to `here_max` tasks at a time run
  // inside Admit: callers that may be held up for the length of a task.
  Admission(schedule::WorkerPool& pool, size_t queue_max, size_t here_max = 0,
            Clock now = absl::Now);

  // OK: exactly one of Run and Refuse is called, perhaps before this returns, and End must be
  // called when the call has ended. Otherwise RESOURCE_EXHAUSTED with reason, RetryInfo and, where
  // it is a limit of the owner or the collection, QuotaFailure; UNAVAILABLE when the pool is
  // shutting down.
  absl::Status Admit(const Claim& claim, Task* task);
  // The next step of a call that was admitted: it waits its turn, but no limit refuses it.
  // UNAVAILABLE or RESOURCE_EXHAUSTED when the pool does not take it.
  absl::Status Resume(const Claim& claim, Task* task);
  // With the owner and the quota of the claim.
  void End(absl::string_view owner, absl::string_view quota);

  // Idle workers, for a call that runs.
  Parallel& helpers() const { return pool_; }

  size_t waiting() const;
  size_t queue_max() const { return queue_max_; }

 private:
  // What is remembered of an owner or a collection between its calls.
  struct Account {
    TokenBucket bucket;
    int64_t in_flight = 0;
  };
  struct Waiting {
    Task* task = nullptr;
    absl::Time deadline;
  };
  using Accounts = std::map<std::string, Account, std::less<>>;

  // Against the owner's and the collection's allowance; the account of a quota may be null.
  absl::Status CheckAllowances(const Claim& claim, absl::Time now, Account* owner, Account* quota)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckDeadline(const Claim& claim, const Task& task, absl::Time now) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MayRunHere(const Task& task) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Sets `displaced` to a task that has to go for this one, if any.
  absl::Status Enqueue(const Claim& claim, Task* task, Task** displaced)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status QueueFull() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Of `tasks` waiting ones, those that one worker will run.
  size_t Share(size_t tasks) const;
  absl::Duration WaitBehind(size_t tasks) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static Account& AccountOf(absl::string_view name, Accounts* accounts);
  // Puts a task into the queue, with a turn in the pool for it.
  absl::Status Push(const Claim& claim, const Waiting& waiting)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // One turn. Where tasks were joined, some turns find nothing to do.
  void RunNext();
  void RunHere(Task* task);
  // The task whose turn it is, and those that join it: a fair share of the queue for one worker, so
  // that nobody waits for company and no worker idles for want of a task.
  std::vector<Waiting> TakeTasks() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes out of `tasks` those that would end after their deadline, as long as others wait that may
  // not: work for nobody is what lets an overloaded server answer less than it can.
  std::vector<Task*> TakeHopeless(absl::Time now, std::vector<Waiting>* tasks)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Learns of `tasks` tasks that ran in `took`.
  void Ran(absl::Duration took, size_t tasks) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  schedule::WorkerPool& pool_;
  const size_t queue_max_;
  const size_t here_max_;
  const Clock now_;
  mutable absl::Mutex mutex_;
  FairQueue<Waiting> queue_ ABSL_GUARDED_BY(mutex_);
  size_t turns_ ABSL_GUARDED_BY(mutex_) = 0;    // in the pool; as many as tasks wait, or more
  size_t running_ ABSL_GUARDED_BY(mutex_) = 0;  // lots of tasks, those of callers counted
  size_t here_ ABSL_GUARDED_BY(mutex_) = 0;     // tasks that callers run
  Accounts owners_ ABSL_GUARDED_BY(mutex_);
  Accounts collections_ ABSL_GUARDED_BY(mutex_);   // those with a quota
  double mean_run_s_ ABSL_GUARDED_BY(mutex_) = 0;  // moving, over the last few dozen runs
};

}  // namespace mrl::server
