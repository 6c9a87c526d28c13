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

absl::Status Exhausted(absl::string_view message, absl::string_view reason, absl::Duration wait) {
  return WithRetryAfter(WithReason(absl::ResourceExhaustedError(message), reason), wait);
}

}  // namespace

Admission::Admission(schedule::WorkerPool& pool, size_t queue_max, Clock now)
    : pool_(pool), queue_max_(queue_max), now_(std::move(now)) {}

absl::Status Admission::Admit(const Claim& claim, Task* task) {
  Task* displaced = nullptr;
  absl::Status why;
  {
    absl::MutexLock lock(&mutex_);
    const absl::Time now = now_();
    Account& account = AccountOf(claim.owner);
    MRL_RETURN_IF_ERROR(CheckDeadline(claim, now));
    MRL_RETURN_IF_ERROR(CheckOwner(claim, now, &account));
    MRL_RETURN_IF_ERROR(Enqueue(claim, task, &displaced));
    ++account.in_flight;
    if (displaced != nullptr) why = QueueFull();
  }
  if (displaced != nullptr) displaced->Refuse(std::move(why));
  return absl::OkStatus();
}

absl::Status Admission::Resume(const Claim& claim, Task* task) {
  absl::MutexLock lock(&mutex_);
  MRL_RETURN_IF_ERROR(pool_.Submit([this] { RunNext(); }));
  queue_.Push(claim.owner, claim.collection, task);
  return absl::OkStatus();
}

void Admission::End(absl::string_view owner) {
  absl::MutexLock lock(&mutex_);
  --AccountOf(owner).in_flight;
}

size_t Admission::waiting() const {
  absl::MutexLock lock(&mutex_);
  return queue_.size();
}

Admission::Account& Admission::AccountOf(absl::string_view owner) {
  const auto found = accounts_.find(owner);
  return found != accounts_.end() ? found->second : accounts_[std::string(owner)];
}

absl::Status Admission::CheckOwner(const Claim& claim, absl::Time now, Account* account) {
  const auto subject = [&claim] { return absl::StrCat("key:", claim.owner); };
  if (claim.in_flight_max > 0 && account->in_flight >= claim.in_flight_max) {
    return WithQuota(Exhausted(absl::StrCat("key '", claim.owner, "' has ", account->in_flight,
                                            " calls at a time; the limit is ", claim.in_flight_max),
                               kReasonInFlight, WaitBehind(1)),
                     subject());
  }
  if (claim.requests_per_s <= 0) return absl::OkStatus();
  const double burst =
      claim.burst > 0 ? static_cast<double>(claim.burst) : std::max(1.0, claim.requests_per_s);
  const absl::Duration wait = account->bucket.Take(claim.requests_per_s, burst, now);
  if (wait <= absl::ZeroDuration()) return absl::OkStatus();
  return WithQuota(Exhausted(absl::StrCat("key '", claim.owner, "' is above its limit of ",
                                          claim.requests_per_s, " calls a second"),
                             kReasonRate, wait),
                   subject());
}

absl::Status Admission::CheckDeadline(const Claim& claim, absl::Time now) const {
  const size_t ahead = queue_.Ahead(claim.owner);
  if (ahead == 0 || claim.deadline == absl::InfiniteFuture()) return absl::OkStatus();
  const absl::Duration wait = WaitBehind(ahead);
  const absl::Duration left = claim.deadline - now;
  if (wait <= left) return absl::OkStatus();
  return Exhausted(
      absl::StrCat("about ", absl::ToInt64Milliseconds(wait), " ms until this call's turn (", ahead,
                   " wait before it), and its deadline is in ", absl::ToInt64Milliseconds(left),
                   " ms"),
      kReasonTooLate, wait - left);
}

absl::Status Admission::Enqueue(const Claim& claim, Task* task, Task** displaced) {
  if (queue_.size() < queue_max_) {
    // The pool's task may begin now: it waits for this lock before it takes from the queue.
    MRL_RETURN_IF_ERROR(pool_.Submit([this] { RunNext(); }));
    queue_.Push(claim.owner, claim.collection, task);
    return absl::OkStatus();
  }
  // Who is displaced leaves its place in the pool to this one.
  if (queue_.Displace(claim.owner, claim.collection, task, displaced)) return absl::OkStatus();
  return QueueFull();
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

void Admission::RunNext() {
  Task* task = nullptr;
  {
    absl::MutexLock lock(&mutex_);
    if (queue_.size() == 0) return;
    task = queue_.Pop();
  }
  const absl::Time begin = now_();
  task->Run();
  const double took_s = absl::ToDoubleSeconds(now_() - begin);
  absl::MutexLock lock(&mutex_);
  mean_run_s_ += (std::max(took_s, 0.0) - mean_run_s_) * kNewest;
}

}  // namespace mrl::server
