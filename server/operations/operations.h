// Work that goes on after the call that started it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace mrl::server {

// One piece of work as it is now.
struct Operation {
  std::string id;          // 32 hexadecimal digits
  std::string method;      // names the runner: "BuildIndex"
  std::string collection;  // that it works on, by its own name
  std::string request;     // what the runner gets
  uint64_t rows_done = 0;
  uint64_t rows = 0;
  absl::Time created;
  absl::Time ended = absl::InfiniteFuture();  // until it has
  bool cancel_requested = false;
  absl::Status status;   // how it ended
  std::string response;  // what the runner gave, where it ended with OK

  bool done() const { return ended != absl::InfiniteFuture(); }
};

// Where operations are kept over a restart; both functions are durable when they return.
struct OperationJournal {
  std::function<absl::Status(const std::string& id, const std::string& bytes)> put;
  std::function<absl::Status(const std::string& id)> remove;
};

// Runs operations on threads of its own, kThreads at a time, in the order in which they came; the
// pool of the searches is not touched. Thread-safe.
class Operations {
 public:
  static constexpr int kThreads = 2;
  static constexpr size_t kUnfinishedMax = 100;  // waiting and running
  static constexpr size_t kFinishedMax = 1000;   // kept; the oldest go first
  static constexpr absl::Duration kFinishedKept = absl::Hours(24);

  // For a runner, on its thread.
  class Control {
   public:
    virtual ~Control() = default;
    // True once it was cancelled or the server stops: leave with CANCELLED, at a safe point.
    virtual bool stopped() const = 0;
    virtual void Report(uint64_t rows_done, uint64_t rows) = 0;
  };
  // Must bear to be run again: one that the end of the server interrupted begins anew.
  using Runner =
      std::function<absl::StatusOr<std::string>(const Operation& operation, Control& control)>;

  // By method. `now` is the clock.
  explicit Operations(std::map<std::string, Runner> runners,
                      std::function<absl::Time()> now = absl::Now);
  // Stops what runs and waits for it. What had not ended stays in the journal.
  ~Operations();

  // Takes over what a journal kept, by id, and keeps it up from now on. Once, before calls come.
  // Records that are not understood are removed and logged.
  void Recover(OperationJournal journal, const std::map<std::string, std::string>& records);

  // RESOURCE_EXHAUSTED with both numbers when kUnfinishedMax are under way.
  absl::StatusOr<Operation> Start(const std::string& method, const std::string& collection,
                                  std::string request);
  // NOT_FOUND.
  absl::StatusOr<Operation> Get(const std::string& id) const;
  // In order of ids.
  std::vector<Operation> List() const;
  // One that has ended stays as it is. NOT_FOUND.
  absl::Status Cancel(const std::string& id);
  // Forgets one that has ended. NOT_FOUND; FAILED_PRECONDITION while it is under way.
  absl::Status Delete(const std::string& id);

 private:
  class Running;
  void Work();
  void RunOne(const std::shared_ptr<Operation>& operation);
  // NOT_FOUND.
  absl::StatusOr<std::shared_ptr<Operation>> Find(const std::string& id) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Forgets what ended long ago.
  void Expire() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Logs what the journal refuses: the work itself goes on.
  void Keep(const Operation& operation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Forget(const std::string& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  size_t Unfinished() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::map<std::string, Runner> runners_;
  const std::function<absl::Time()> now_;
  mutable absl::Mutex mutex_;
  OperationJournal journal_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<Operation>> operations_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::shared_ptr<Operation>> waiting_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace mrl::server
