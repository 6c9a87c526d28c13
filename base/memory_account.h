// One account of what stays resident, against the configured limit.
#pragma once

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace mrl {

// Thread-safe. Loads and builds reserve before they allocate.
class MemoryAccount {
 public:
  // Bytes held from an account; gives them back when destroyed. Move-only; outlived by the account.
  class Reservation {
   public:
    Reservation() = default;
    Reservation(Reservation&& other) noexcept;
    Reservation& operator=(Reservation&& other) noexcept;
    ~Reservation();
    uint64_t bytes() const { return bytes_; }

   private:
    friend class MemoryAccount;
    MemoryAccount* account_ = nullptr;
    uint64_t bytes_ = 0;
  };

  explicit MemoryAccount(uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}

  // RESOURCE_EXHAUSTED, with `what`, the bytes wanted, the bytes in use and the limit, when over
  // it.
  absl::StatusOr<Reservation> Reserve(uint64_t bytes, absl::string_view what);

  uint64_t used_bytes() const;
  uint64_t limit_bytes() const { return limit_bytes_; }

  // 80 % of the cgroup's memory limit, or of the machine's memory where no cgroup sets one.
  static uint64_t DefaultLimitBytes();

 private:
  const uint64_t limit_bytes_;
  mutable absl::Mutex mutex_;
  uint64_t used_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace mrl
