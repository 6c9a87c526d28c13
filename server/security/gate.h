// Who may call what: the one place where a call is let in.
#pragma once

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "server/rpc/methods.h"
#include "server/security/key_ring.h"

namespace mrl::server {

// Who calls. Without a keys file everybody is the same caller, who may do all.
class Caller {
 public:
  Caller() = default;
  explicit Caller(std::shared_ptr<const Key> key) : key_(std::move(key)) {}
  // Null without a keys file.
  const Key* key() const { return key_.get(); }
  absl::string_view id() const { return key_ == nullptr ? absl::string_view() : key_->id; }
  // Whether a collection's name may be told to this caller.
  bool MaySee(absl::string_view collection) const {
    return key_ == nullptr || key_->MaySee(collection);
  }

 private:
  std::shared_ptr<const Key> key_;
};

// Thread-safe.
class Gate {
 public:
  // Null = no keys are needed.
  explicit Gate(std::shared_ptr<const KeyRing> keys) : keys_(std::move(keys)) {}

  // From now on these keys count; calls that were let in go on.
  void Replace(std::shared_ptr<const KeyRing> keys);
  bool needs_key() const;

  // `authorization` is the call's metadata of that name. UNAUTHENTICATED for a missing or unknown
  // key; PERMISSION_DENIED when the key's role is too low, its list lacks the collection, or the
  // method has no entry in the table.
  absl::StatusOr<Caller> Check(const Method* method, absl::string_view authorization,
                               absl::string_view collection) const;

 private:
  std::shared_ptr<const KeyRing> keys() const;

  mutable absl::Mutex mutex_;
  std::shared_ptr<const KeyRing> keys_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mrl::server
