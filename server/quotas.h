// What one collection may take of the server: limits by name, from a YAML file.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "base/file.h"
#include "server/registry.h"

namespace mrl::server {

// 0 = no limit, for each.
struct Quota {
  int64_t in_flight_max = 0;  // calls that wait or run
  double requests_per_s = 0;
  int64_t burst = 0;  // 0 = what comes in one second
  // Of collections that take writes.
  uint64_t rows_max = 0;
  uint64_t memory_bytes_max = 0;
};

// Constant.
class QuotaTable {
 public:
  static constexpr size_t kEntriesMax = 10'000;

  // The file's text. INVALID_ARGUMENT names the file, the entry and the field.
  static absl::StatusOr<std::shared_ptr<const QuotaTable>> Parse(const std::string& text,
                                                                 const std::string& path);
  static absl::StatusOr<std::shared_ptr<const QuotaTable>> Load(FileSystem& files,
                                                                const std::string& path);
  // A collection's own entry or that of `*`; null = no limits.
  const Quota* Find(const std::string& collection) const;
  size_t size() const { return quotas_.size(); }

 private:
  std::map<std::string, Quota> quotas_;
};

// The quotas that hold now. Thread-safe.
class Quotas {
 public:
  // `registry` outlives this.
  explicit Quotas(const Registry& registry) : registry_(registry) {}

  // Null = no collection has a quota.
  void Replace(std::shared_ptr<const QuotaTable> table);

  // The quota of a collection that is there, by its own name, whatever alias it was called by.
  struct Held {
    std::string collection;  // empty = no quota
    Quota quota;
  };
  Held Of(absl::string_view collection_or_alias) const;

 private:
  const Registry& registry_;
  mutable absl::Mutex mutex_;
  std::shared_ptr<const QuotaTable> table_ ABSL_GUARDED_BY(mutex_);
};

// RESOURCE_EXHAUSTED with QuotaFailure when `rows` more points, or `bytes` more in memory, would
// bring a collection above its quota. Writes at the same time may pass it by the rows of one
// another.
absl::Status CheckRoom(const Quotas::Held& held, const collection::Collection& version,
                       uint64_t rows, uint64_t bytes);

}  // namespace mrl::server
