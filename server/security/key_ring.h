// The keys that open the server, as one immutable set read from one file.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "base/file.h"
#include "server/rpc/methods.h"
#include "server/security/key_hash.h"

namespace mrl::server {

// One entry of the keys file. Two entries may have one id: both keys are valid then, which is how a
// key is rotated.
struct Key {
  std::string id;  // [a-z0-9_-], 64 bytes at most; appears in logs and errors
  Role role = Role::kRead;
  std::vector<std::string> collections;  // empty = all
  double requests_per_s = 0;             // 0 = no limit
  int64_t burst = 0;                     // requests at once; 0 = as many as in one second
  int64_t in_flight_max = 0;             // 0 = no limit
  KeyHash hash;

  bool MaySee(absl::string_view collection) const;
};

// Thread-safe.
class KeyRing {
 public:
  static constexpr size_t kKeysMax = 1000;

  // YAML: `keys:` is a list of maps with id, role, hash and, where wanted, collections,
  // requests-per-s, burst, in-flight-max. INVALID_ARGUMENT names `path`, the entry and what is
  // wrong with it, and never repeats a hash.
  static absl::StatusOr<std::shared_ptr<const KeyRing>> Parse(const std::string& text,
                                                              const std::string& path);
  static absl::StatusOr<std::shared_ptr<const KeyRing>> Load(FileSystem& files,
                                                             const std::string& path);

  // The entry that `key` opens; null when there is none. A key that was found once is found by one
  // hash from then on; for an unknown one every entry is compared, in constant time each.
  std::shared_ptr<const Key> Find(absl::string_view key) const;
  size_t size() const { return keys_.size(); }

 private:
  KeyRing();
  std::shared_ptr<const Key> Compare(absl::string_view key) const;

  std::vector<std::shared_ptr<const Key>> keys_;
  // Of the process and never told, so that nobody can choose a key by its place in the map.
  std::string memory_salt_;
  mutable absl::Mutex mutex_;
  // Valid keys only, so it is no longer than keys_.
  mutable std::map<Digest, std::shared_ptr<const Key>> found_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mrl::server
