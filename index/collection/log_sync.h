// One fsync of the log for all writers that wait for one.
#pragma once

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "index/collection/database.h"

namespace mrl::collection {

// Thread-safe. `database` outlives it. A sync that failed is not tried again: the system may have
// thrown the pages away and say OK the next time.
class LogSync {
 public:
  explicit LogSync(Database& database) : database_(database) {}

  // A commit is in the log; its number, for WaitFor. Not called while another commit is written.
  uint64_t Note();
  // Everything up to commit `number` is on the disk.
  absl::Status WaitFor(uint64_t number);
  absl::Status WaitForAll();
  bool behind() const;
  // The error of the sync that failed.
  absl::Status error() const;

 private:
  Database& database_;
  mutable absl::Mutex mutex_;
  absl::CondVar ended_;
  uint64_t noted_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t synced_ ABSL_GUARDED_BY(mutex_) = 0;
  bool running_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mrl::collection
