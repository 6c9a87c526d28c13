#include "server/security/gate.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/rpc/error.h"
#include "server/rpc/reason.h"

namespace mrl::server {
namespace {

absl::Status Unauthenticated(absl::string_view message, absl::string_view reason) {
  return WithReason(absl::UnauthenticatedError(message), reason);
}

absl::Status Denied(absl::string_view message, absl::string_view reason) {
  return WithReason(absl::PermissionDeniedError(message), reason);
}

}  // namespace

void Gate::Replace(std::shared_ptr<const KeyRing> keys) {
  absl::MutexLock lock(&mutex_);
  std::swap(keys_, keys);  // the old ones leave outside of the lock
}

std::shared_ptr<const KeyRing> Gate::keys() const {
  absl::ReaderMutexLock lock(&mutex_);
  return keys_;
}

bool Gate::needs_key() const { return keys() != nullptr; }

absl::StatusOr<Caller> Gate::Check(const Method* method, absl::string_view authorization,
                                   absl::string_view collection) const {
  const std::shared_ptr<const KeyRing> ring = keys();
  std::shared_ptr<const Key> key;
  if (ring != nullptr) {
    if (!absl::StartsWithIgnoreCase(authorization, "bearer ")) {
      return Unauthenticated("a key is needed, in the metadata 'authorization: Bearer KEY'",
                             kReasonNoKey);
    }
    key = ring->Find(authorization.substr(sizeof("bearer ") - 1));
    if (key == nullptr) return Unauthenticated("the key is not known", kReasonUnknownKey);
  }
  if (method == nullptr) {
    return Denied("nobody has said who may call this method", kReasonNoRule);
  }
  if (key == nullptr) return Caller();
  if (key->role < method->role) {
    return Denied(absl::StrCat("key '", key->id, "' has the role ", Name(key->role), "; ",
                               method->name, " needs ", Name(method->role)),
                  kReasonRole);
  }
  if (method->one_collection && !key->MaySee(collection)) {
    return WithResource(
        Denied(absl::StrCat("key '", key->id, "' does not list collection '", collection, "'"),
               kReasonCollection),
        "collection", collection);
  }
  return Caller(std::move(key));
}

}  // namespace mrl::server
