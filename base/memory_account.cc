#include "base/memory_account.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace mrl {

MemoryAccount::Reservation::Reservation(Reservation&& other) noexcept { *this = std::move(other); }

MemoryAccount::Reservation& MemoryAccount::Reservation::operator=(Reservation&& other) noexcept {
  std::swap(account_, other.account_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

MemoryAccount::Reservation::~Reservation() {
  if (account_ == nullptr) return;
  absl::MutexLock lock(&account_->mutex_);
  account_->used_bytes_ -= bytes_;
}

absl::StatusOr<MemoryAccount::Reservation> MemoryAccount::Reserve(uint64_t bytes,
                                                                  absl::string_view what) {
  absl::MutexLock lock(&mutex_);
  if (bytes > limit_bytes_ - std::min(limit_bytes_, used_bytes_)) {
    return absl::ResourceExhaustedError(absl::StrCat(what, " needs ", bytes, " bytes of memory; ",
                                                     used_bytes_, " are in use and the limit is ",
                                                     limit_bytes_));
  }
  used_bytes_ += bytes;
  Reservation reservation;
  reservation.account_ = this;
  reservation.bytes_ = bytes;
  return reservation;
}

uint64_t MemoryAccount::used_bytes() const {
  absl::MutexLock lock(&mutex_);
  return used_bytes_;
}

uint64_t MemoryAccount::DefaultLimitBytes() {
  uint64_t memory = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGE_SIZE);
  std::ifstream file("/sys/fs/cgroup/memory.max");
  std::string text;
  uint64_t cgroup = 0;
  if (file >> text && absl::SimpleAtoi(text, &cgroup)) memory = std::min(memory, cgroup);
  return memory / 10 * 8;
}

}  // namespace mrl
