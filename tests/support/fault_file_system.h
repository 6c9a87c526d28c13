// A FileSystem whose n-th operation fails, or whose disk is full from the n-th on.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"

namespace mrl::test {

// Not thread-safe. Counts what opens, reads, makes, writes, syncs, closes or renames; what removes,
// lists or asks is passed on uncounted and never fails, as on a full disk.
class FaultFileSystem final : public FileSystem {
 public:
  explicit FaultFileSystem(FileSystem& base = FileSystem::Posix()) : base_(base) {}

  // Operation `n` (from 1) and no other returns `error` without being done.
  void FailAt(uint64_t n, absl::Status error);
  // From operation `n` on, whatever needs space returns RESOURCE_EXHAUSTED.
  void FillDiskAt(uint64_t n);
  uint64_t operations() const { return operations_; }

  absl::StatusOr<std::unique_ptr<ReadableFile>> Open(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Exchange(const std::string& a, const std::string& b) override;
  absl::Status CreateDirectory(const std::string& path) override;
  absl::Status SyncDirectory(const std::string& path) override;
  absl::Status Remove(const std::string& path) override { return base_.Remove(path); }
  absl::Status RemoveTree(const std::string& path) override { return base_.RemoveTree(path); }
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override {
    return base_.List(path);
  }
  bool Exists(const std::string& path) override { return base_.Exists(path); }

 private:
  class File;
  enum class Needs { kSpace, kNothing };
  // Counts one operation and says whether it fails.
  absl::Status Count(Needs needs);

  FileSystem& base_;
  uint64_t operations_ = 0;
  uint64_t fail_at_ = 0;  // 0 = never
  absl::Status error_;
  uint64_t full_at_ = 0;  // 0 = never
};

}  // namespace mrl::test
