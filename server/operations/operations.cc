#include "server/operations/operations.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "index/collection/catalog.h"
#include "server/low_priority.h"
#include "server/operations/operation_record.h"

namespace mrl::server {

class Operations::Running final : public Control {
 public:
  Running(Operations& operations, std::shared_ptr<Operation> operation)
      : operations_(operations), operation_(std::move(operation)) {}

  bool stopped() const override {
    absl::MutexLock lock(&operations_.mutex_);
    return operations_.stopping_ || operation_->cancel_requested;
  }
  void Report(uint64_t rows_done, uint64_t rows) override {
    absl::MutexLock lock(&operations_.mutex_);
    operation_->rows_done = rows_done;
    operation_->rows = rows;
  }

 private:
  Operations& operations_;
  const std::shared_ptr<Operation> operation_;
};

Operations::Operations(std::map<std::string, Runner> runners, std::function<absl::Time()> now)
    : runners_(std::move(runners)), now_(std::move(now)) {
  for (int i = 0; i < kThreads; ++i) threads_.emplace_back([this] { Work(); });
}

Operations::~Operations() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

void Operations::Recover(OperationJournal journal,
                         const std::map<std::string, std::string>& records) {
  absl::MutexLock lock(&mutex_);
  journal_ = std::move(journal);
  std::vector<std::shared_ptr<Operation>> unfinished;
  for (const auto& [id, bytes] : records) {
    absl::StatusOr<Operation> decoded = DecodeOperation(bytes);
    if (!decoded.ok() || decoded->id != id || runners_.count(decoded->method) == 0) {
      spdlog::error("operation {}: its record is not understood and is removed", id);
      Forget(id);
      continue;
    }
    auto operation = std::make_shared<Operation>(*std::move(decoded));
    operations_[id] = operation;
    if (!operation->done()) unfinished.push_back(std::move(operation));
  }
  std::sort(unfinished.begin(), unfinished.end(),
            [](const auto& a, const auto& b) { return a->created < b->created; });
  for (const auto& operation : unfinished) {
    spdlog::info("operation {} ({} of '{}') is begun anew", operation->id, operation->method,
                 operation->collection);
    waiting_.push_back(operation);
  }
  Expire();
}

absl::StatusOr<Operation> Operations::Start(const std::string& method,
                                            const std::string& collection, std::string request) {
  CHECK(runners_.count(method) > 0);
  absl::MutexLock lock(&mutex_);
  Expire();
  if (const size_t unfinished = Unfinished(); unfinished >= kUnfinishedMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat(unfinished, " operations are under way; the limit is ", kUnfinishedMax));
  }
  auto operation = std::make_shared<Operation>();
  operation->id = collection::Catalog::NewUuid();
  operation->method = method;
  operation->collection = collection;
  operation->request = std::move(request);
  operation->created = now_();
  if (journal_.put) {
    const absl::Status kept = journal_.put(operation->id, EncodeOperation(*operation));
    if (!kept.ok()) return kept;
  }
  operations_[operation->id] = operation;
  waiting_.push_back(operation);
  return *operation;
}

absl::StatusOr<Operation> Operations::Get(const std::string& id) const {
  absl::MutexLock lock(&mutex_);
  MRL_ASSIGN_OR_RETURN(const std::shared_ptr<Operation> found, Find(id));
  return *found;
}

absl::StatusOr<std::shared_ptr<Operation>> Operations::Find(const std::string& id) const {
  const auto found = operations_.find(id);
  if (found != operations_.end()) return found->second;
  return absl::NotFoundError(absl::StrCat("operation 'operations/", id, "' does not exist"));
}

std::vector<Operation> Operations::List() const {
  absl::MutexLock lock(&mutex_);
  std::vector<Operation> listed;
  for (const auto& [id, operation] : operations_) listed.push_back(*operation);
  return listed;
}

absl::Status Operations::Cancel(const std::string& id) {
  absl::MutexLock lock(&mutex_);
  MRL_ASSIGN_OR_RETURN(const std::shared_ptr<Operation> found, Find(id));
  if (found->done()) return absl::OkStatus();
  found->cancel_requested = true;
  Keep(*found);
  return absl::OkStatus();
}

absl::Status Operations::Delete(const std::string& id) {
  absl::MutexLock lock(&mutex_);
  MRL_ASSIGN_OR_RETURN(const std::shared_ptr<Operation> found, Find(id));
  if (!found->done()) {
    return absl::FailedPreconditionError(
        absl::StrCat("operation 'operations/", id, "' is under way; cancel it first"));
  }
  operations_.erase(id);
  Forget(id);
  return absl::OkStatus();
}

void Operations::Work() {
  LowerPriority();
  while (true) {
    std::shared_ptr<Operation> operation;
    {
      absl::MutexLock lock(&mutex_);
      const auto ready = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
        return stopping_ || !waiting_.empty();
      };
      mutex_.Await(absl::Condition(&ready));
      if (stopping_) return;
      operation = std::move(waiting_.front());
      waiting_.pop_front();
    }
    RunOne(operation);
  }
}

void Operations::RunOne(const std::shared_ptr<Operation>& operation) {
  Running control(*this, operation);
  Operation now;
  {
    absl::MutexLock lock(&mutex_);
    now = *operation;
  }
  absl::StatusOr<std::string> result = absl::CancelledError("it was cancelled before it began");
  if (!now.cancel_requested) result = runners_.at(now.method)(now, control);
  absl::MutexLock lock(&mutex_);
  // What the end of the server interrupted has not ended: the next start begins it anew.
  if (stopping_ && absl::IsCancelled(result.status()) && !operation->cancel_requested) return;
  operation->ended = now_();
  operation->request.clear();  // nobody runs it again
  operation->status = result.status();
  if (result.ok()) operation->response = *std::move(result);
  spdlog::info("operation {} ({} of '{}'): {}", operation->id, operation->method,
               operation->collection, operation->status.ToString());
  Keep(*operation);
  Expire();
}

size_t Operations::Unfinished() const {
  return static_cast<size_t>(
      std::count_if(operations_.begin(), operations_.end(),
                    [](const auto& entry) { return !entry.second->done(); }));
}

void Operations::Expire() {
  std::vector<std::pair<absl::Time, std::string>> ended;
  for (const auto& [id, operation] : operations_) {
    if (operation->done()) ended.emplace_back(operation->ended, id);
  }
  std::sort(ended.begin(), ended.end());
  for (size_t i = 0; i < ended.size(); ++i) {
    const bool is_old = ended[i].first + kFinishedKept < now_();
    if (!is_old && ended.size() - i <= kFinishedMax) break;
    operations_.erase(ended[i].second);
    Forget(ended[i].second);
  }
}

void Operations::Keep(const Operation& operation) {
  if (!journal_.put) return;
  const absl::Status kept = journal_.put(operation.id, EncodeOperation(operation));
  if (!kept.ok()) spdlog::error("operation {} is not kept: {}", operation.id, kept.ToString());
}

void Operations::Forget(const std::string& id) {
  if (!journal_.remove) return;
  const absl::Status removed = journal_.remove(id);
  if (!removed.ok()) spdlog::error("operation {} is not removed: {}", id, removed.ToString());
}

}  // namespace mrl::server
