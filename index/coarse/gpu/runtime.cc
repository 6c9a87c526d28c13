#include "index/coarse/gpu/runtime.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace mrl::coarse::gpu {

absl::Status Device::CheckRoom(uint64_t bytes, absl::string_view what) const {
  if (HasRoom(bytes)) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat(what, ": ", bytes, " bytes wanted on ", name(), ", ", account_.used_bytes(),
                   " in use of a limit of ", account_.limit_bytes(), ", of which ", batch_bytes(),
                   " are for batches"));
}

std::string Device::fault() const {
  const absl::MutexLock lock(&mutex_);
  return fault_;
}

absl::Status Device::CheckLost() const {
  if (!lost_) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("gpu: ", name(), " was lost: ", fault()));
}

void Device::Note(const absl::Status& status) {
  if (!absl::IsUnavailable(status)) return;
  {
    const absl::MutexLock lock(&mutex_);
    if (lost_) return;
    fault_ = std::string(status.message());
    lost_ = true;
  }
  if (warn_)
    warn_(absl::StrCat(name(), " is used no more, the CPU takes over: ", status.message()));
}

absl::StatusOr<Memory> Device::Allocate(size_t bytes, absl::string_view what) {
  if (bytes == 0) return Memory();
  MRL_ASSIGN_OR_RETURN(MemoryAccount::Reservation reserved, account_.Reserve(bytes, what));
  MRL_ASSIGN_OR_RETURN(Memory raw, AllocateRaw(bytes, what));
  // std::function copies what it holds, so both are behind a pointer.
  auto held = std::make_shared<std::pair<Memory, MemoryAccount::Reservation>>(std::move(raw),
                                                                              std::move(reserved));
  void* const data = held->first.As<void>();
  return Memory(data, bytes, [this, held](void*) mutable {
    held.reset();
    GaveBack();
  });
}

}  // namespace mrl::coarse::gpu
