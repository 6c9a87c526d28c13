#include "index/coarse/gpu/workspace.h"

#include <algorithm>
#include <utility>

#include "base/status.h"

namespace mrl::coarse::gpu {

absl::StatusOr<std::unique_ptr<Workspace>> Workspace::Make(Device& device) {
  MRL_ASSIGN_OR_RETURN(std::unique_ptr<Stream> stream, device.MakeStream());
  return std::unique_ptr<Workspace>(new Workspace(device, std::move(stream)));
}

absl::Status Workspace::Grow(Memory& memory, size_t bytes, bool pinned) {
  if (memory.bytes() >= bytes) return absl::OkStatus();
  for (auto& [key, recorded] : recordings_) recorded.recording = nullptr;
  memory = Memory();  // first, so that the two are never there at once
  const size_t roomy = bytes + bytes / 4;
  absl::StatusOr<Memory> grown =
      pinned ? device_.AllocatePinned(roomy) : device_.Allocate(roomy, "a batch of queries");
  MRL_RETURN_IF_ERROR(grown.status());
  memory = *std::move(grown);
  return absl::OkStatus();
}

absl::Status Workspace::Reserve(size_t input_bytes, size_t list_bytes, size_t output_bytes) {
  MRL_RETURN_IF_ERROR(Grow(host_input_, input_bytes, true));
  MRL_RETURN_IF_ERROR(Grow(input_, input_bytes, false));
  MRL_RETURN_IF_ERROR(Grow(lists_, list_bytes, false));
  MRL_RETURN_IF_ERROR(Grow(output_, output_bytes, false));
  return Grow(host_output_, output_bytes, true);
}

Workspace::Known Workspace::Find(const std::string& key) {
  const auto [at, is_new] = recordings_.try_emplace(key);
  at->second.last_use = ++uses_;
  if (recordings_.size() > kRecordingsMax) {
    recordings_.erase(std::min_element(
        recordings_.begin(), recordings_.end(),
        [](const auto& a, const auto& b) { return a.second.last_use < b.second.last_use; }));
  }
  return {!is_new, at->second.recording.get()};
}

const Recording& Workspace::Keep(const std::string& key, std::unique_ptr<Recording> recording) {
  Recorded& kept = recordings_[key];
  kept.recording = std::move(recording);
  return *kept.recording;
}

absl::StatusOr<std::unique_ptr<WorkspacePool::Lease>> WorkspacePool::Take() {
  std::unique_ptr<Workspace> taken;
  {
    const auto is_free = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return left_ > 0; };
    const absl::MutexLock lock(&mutex_, absl::Condition(&is_free));
    --left_;
    if (!idle_.empty()) {
      taken = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (taken == nullptr) {
    absl::StatusOr<std::unique_ptr<Workspace>> made = Workspace::Make(device_);
    if (!made.ok()) {
      Return(nullptr);
      return made.status();
    }
    taken = *std::move(made);
  }
  return std::make_unique<Lease>(*this, std::move(taken));
}

void WorkspacePool::Return(std::unique_ptr<Workspace> workspace) {
  const absl::MutexLock lock(&mutex_);
  ++left_;
  if (workspace != nullptr) idle_.push_back(std::move(workspace));
}

}  // namespace mrl::coarse::gpu
