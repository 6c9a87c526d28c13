#include "server/ballast.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "base/status.h"

namespace mrl::server {
namespace {

absl::Status WriteOnes(FileSystem& files, const std::string& path, uint64_t bytes) {
  MRL_ASSIGN_OR_RETURN(const auto file, files.Create(path));
  // Ones, not zeros: a file system may keep no blocks for zeros.
  const std::vector<std::byte> piece(std::min<uint64_t>(bytes, 1 << 20), std::byte{0xff});
  for (uint64_t offset = 0; offset < bytes; offset += piece.size()) {
    const size_t count = std::min<uint64_t>(piece.size(), bytes - offset);
    MRL_RETURN_IF_ERROR(file->WriteAt(offset, absl::MakeConstSpan(piece).first(count)));
  }
  MRL_RETURN_IF_ERROR(file->Sync());
  return file->Close();
}

}  // namespace

bool Ballast::held() const {
  absl::MutexLock lock(&mutex_);
  return files_.Exists(path_);
}

void Ballast::Fill(uint64_t free_bytes) {
  absl::MutexLock lock(&mutex_);
  if (bytes_ == 0 || files_.Exists(path_) || free_bytes / 2 < bytes_) return;
  const absl::Status written = WriteOnes(files_, path_, bytes_);
  if (written.ok()) return;
  spdlog::warn("ballast: {}", written.ToString());
  files_.RemoveTree(path_).IgnoreError();
}

void Ballast::Release() {
  absl::MutexLock lock(&mutex_);
  if (!files_.Exists(path_)) return;
  const absl::Status removed = files_.Remove(path_);
  spdlog::warn("the disk is full: the ballast of {} bytes is released{}", bytes_,
               removed.ok() ? "" : ", which failed: " + removed.ToString());
}

}  // namespace mrl::server
