#include "server/admission/admission.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "server/rpc/error.h"
#include "server/rpc/reason.h"

namespace mrl::server {
namespace {

// Weight of the newest run in the mean.
constexpr double kNewest = 1.0 / 32;
// How much longer than estimated a wait may turn out. The queue so fills to half of what deadlines
// allow: enough to keep workers busy, and calls do not end in it or in their run when those in
// between, gRPC's threads first, take more of the cores than before.
constexpr double kWaitMargin = 2;

absl::Status Exhausted(absl::string_view message, absl::string_view reason, absl::Duration wait) {
  return WithRetryAfter(WithReason(absl::ResourceExhaustedError(message), reason), wait);
}

// Who is held to an allowance, and by which words that is said.
struct Limited {
  const char* kind;
  absl::string_view name;
  const char* reason_in_flight;
  const char* reason_rate;
  std::string subject() const { return absl::StrCat(kind, ":", name); }
};

absl::Status CheckInFlight(const Limited& who, const Admission::Allowance& allowed,
                           int64_t in_flight, absl::Duration turn) {
  if (allowed.in_flight_max <= 0 || in_flight < allowed.in_flight_max) return absl::OkStatus();
  return WithQuota(Exhausted(absl::StrCat(who.kind, " '", who.name, "' has ", in_flight,
                                          " calls at a time; the limit is ", allowed.in_flight_max),
                             who.reason_in_flight, turn),
                   who.subject());
}

absl::Status TakeToken(const Limited& who, const Admission::Allowance& allowed, absl::Time now,
                       TokenBucket* bucket) {
  if (allowed.requests_per_s <= 0) return absl::OkStatus();
  const double burst = allowed.burst > 0 ? static_cast<double>(allowed.burst)
                                         : std::max(1.0, allowed.requests_per_s);
  const absl::Duration wait = bucket->Take(allowed.requests_per_s, burst, now);
  if (wait <= absl::ZeroDuration()) return absl::OkStatus();
  return WithQuota(Exhausted(absl::StrCat(who.kind, " '", who.name, "' is above its limit of ",
                                          allowed.requests_per_s, " calls a second"),
                             who.reason_rate, wait),
                   who.subject());
}

}  // namespace

Admission::Admission(schedule::WorkerPool& pool, size_t queue_max, size_t here_max, Clock now)
    : pool_(pool), queue_max_(queue_max), here_max_(here_max), now_(std::move(now)) {}

absl::Status Admission::Admit(const Claim& claim, Task* task) {
  Task* displaced = nullptr;
  bool here = false;
  absl::Status why;
  {
    absl::MutexLock lock(&mutex_);
    const absl::Time now = now_();
    Account& owner = AccountOf(claim.owner, &owners_);
    Account* quota = claim.quota.empty() ? nullptr : &AccountOf(claim.quota, &collections_);
    MRL_RETURN_IF_ERROR(CheckDeadline(claim, *task, now));
    MRL_RETURN_IF_ERROR(CheckAllowances(claim, now, &owner, quota));
    here = MayRunHere(*task);
    if (here) {
      ++here_;
      ++running_;
    } else {
      MRL_RETURN_IF_ERROR(Enqueue(claim, task, &displaced));
    }
    ++owner.in_flight;
    if (quota != nullptr) ++quota->in_flight;
    if (displaced != nullptr) why = QueueFull();
  }
  if (displaced != nullptr) displaced->Refuse(std::move(why));
  if (here) RunHere(task);
  return absl::OkStatus();
}

absl::Status Admission::Resume(const Claim& claim, Task* task) {
  absl::MutexLock lock(&mutex_);
  return Push(claim, {task, claim.deadline});
}

void Admission::End(absl::string_view owner, absl::string_view quota) {
  absl::MutexLock lock(&mutex_);
  --AccountOf(owner, &owners_).in_flight;
  if (!quota.empty()) --AccountOf(quota, &collections_).in_flight;
}

size_t Admission::waiting() const {
  absl::MutexLock lock(&mutex_);
  return queue_.size();
}

Admission::Account& Admission::AccountOf(absl::string_view name, Accounts* accounts) {
  const auto found = accounts->find(name);
  return found != accounts->end() ? found->second : (*accounts)[std::string(name)];
}

absl::Status Admission::CheckAllowances(const Claim& claim, absl::Time now, Account* owner,
                                        Account* quota) {
  const Limited key = {"key", claim.owner, kReasonInFlight, kReasonRate};
  const Limited collection = {"collection", claim.quota, kReasonQuotaInFlight, kReasonQuotaRate};
  // A token is taken by who passes all the rest.
  const absl::Duration turn = WaitBehind(1);
  MRL_RETURN_IF_ERROR(CheckInFlight(key, claim.of_owner, owner->in_flight, turn));
  if (quota != nullptr) {
    MRL_RETURN_IF_ERROR(CheckInFlight(collection, claim.of_collection, quota->in_flight, turn));
    MRL_RETURN_IF_ERROR(TakeToken(collection, claim.of_collection, now, &quota->bucket));
  }
  return TakeToken(key, claim.of_owner, now, &owner->bucket);
}

absl::Status Admission::CheckDeadline(const Claim& claim, const Task& task, absl::Time now) const {
  const size_t ahead = queue_.Ahead(claim.owner);
  if (ahead == 0 || claim.deadline == absl::InfiniteFuture()) return absl::OkStatus();
  // Those that run as one end together.
  const size_t tile = task.joins_as() == nullptr ? 1 : std::min(Share(ahead + 1), kJoinedMax);
  const absl::Duration wait = WaitBehind(ahead);
  const absl::Duration needed = wait * kWaitMargin + absl::Seconds(mean_run_s_) * tile;
  const absl::Duration left = claim.deadline - now;
  if (needed <= left) return absl::OkStatus();
  return Exhausted(
      absl::StrCat("about ", absl::ToInt64Milliseconds(wait), " ms until this call's turn (", ahead,
                   " wait before it), and its deadline is in ", absl::ToInt64Milliseconds(left),
                   " ms"),
      kReasonTooLate, needed - left);
}

bool Admission::MayRunHere(const Task& task) const {
  return task.may_run_here() && here_ < here_max_ && queue_.size() == 0 &&
         running_ < pool_.threads();
}

absl::Status Admission::Enqueue(const Claim& claim, Task* task, Task** displaced) {
  const Waiting waiting = {task, claim.deadline};
  if (queue_.size() < queue_max_) return Push(claim, waiting);
  // Who is displaced leaves its place in the pool to this one.
  Waiting left;
  if (!queue_.Displace(claim.owner, claim.collection, waiting, &left)) return QueueFull();
  *displaced = left.task;
  return absl::OkStatus();
}

absl::Status Admission::Push(const Claim& claim, const Waiting& waiting) {
  if (turns_ <= queue_.size()) {
    // The pool's task may begin now: it waits for this lock before it takes from the queue.
    MRL_RETURN_IF_ERROR(pool_.Submit([this] { RunNext(); }));
    ++turns_;
  }
  queue_.Push(claim.owner, claim.collection, waiting);
  return absl::OkStatus();
}

absl::Status Admission::QueueFull() const {
  return Exhausted(
      absl::StrCat("the queue is full: ", queue_.size(), " calls wait, the limit is ", queue_max_),
      kReasonQueueFull, WaitBehind(queue_.size()));
}

absl::Duration Admission::WaitBehind(size_t tasks) const {
  return absl::Seconds(mean_run_s_ * static_cast<double>(tasks) /
                       static_cast<double>(pool_.threads()));
}

size_t Admission::Share(size_t tasks) const {
  return (tasks + pool_.threads() - 1) / pool_.threads();
}

std::vector<Admission::Waiting> Admission::TakeTasks() {
  std::vector<Waiting> tasks;
  if (queue_.size() == 0) return tasks;
  const size_t share = Share(queue_.size());
  std::string collection;
  tasks.push_back(queue_.Pop(&collection));
  const void* const alike = tasks.front().task->joins_as();
  if (alike == nullptr) return tasks;
  queue_.PopAlso(collection, std::min(share, kJoinedMax) - 1, &tasks,
                 [alike](const Waiting& one) { return one.task->joins_as() == alike; });
  return tasks;
}

std::vector<Admission::Task*> Admission::TakeHopeless(absl::Time now, std::vector<Waiting>* tasks) {
  std::vector<Task*> hopeless;
  if (queue_.size() == 0) return hopeless;
  const absl::Duration needed = absl::Seconds(mean_run_s_) * tasks->size();
  std::erase_if(*tasks, [&](const Waiting& one) {
    // One whose deadline is past does no work and says so itself.
    const bool gone = one.deadline > now && one.deadline - now < needed;
    if (gone) hopeless.push_back(one.task);
    return gone;
  });
  return hopeless;
}

void Admission::RunNext() {
  std::vector<Waiting> tasks;
  std::vector<Task*> hopeless;
  absl::Time begin;
  {
    absl::MutexLock lock(&mutex_);
    --turns_;
    begin = now_();
    tasks = TakeTasks();
    hopeless = TakeHopeless(begin, &tasks);
    if (!tasks.empty()) ++running_;
  }
  for (Task* task : hopeless) {
    task->Refuse(Exhausted("the deadline leaves no time for this call's work", kReasonTooLate,
                           absl::Milliseconds(1)));
  }
  if (tasks.empty()) return;
  if (tasks.size() == 1) {
    tasks.front().task->Run();
  } else {
    std::vector<Task*> others;
    for (size_t i = 1; i < tasks.size(); ++i) others.push_back(tasks[i].task);
    tasks.front().task->RunWith(others);
  }
  absl::MutexLock lock(&mutex_);
  Ran(now_() - begin, tasks.size());
}

void Admission::RunHere(Task* task) {
  const absl::Time begin = now_();
  {
    const schedule::WorkerPool::Guest guest(pool_);
    task->RunHere();
  }
  absl::MutexLock lock(&mutex_);
  --here_;
  Ran(now_() - begin, 1);
}

void Admission::Ran(absl::Duration took, size_t tasks) {
  --running_;
  const double took_s = absl::ToDoubleSeconds(took) / static_cast<double>(tasks);
  mean_run_s_ += (std::max(took_s, 0.0) - mean_run_s_) * kNewest;
}

}  // namespace mrl::server
