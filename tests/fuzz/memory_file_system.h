// A FileSystem of one folder that is a map: what a fuzzer writes files into without a disk.
#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/fuzz/memory_file.h"

namespace mrl {

class MemoryFileSystem final : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<ReadableFile>> Open(const std::string& path) override {
    const auto found = files_.find(path);
    if (found == files_.end()) return absl::NotFoundError(path);
    return std::make_unique<MemoryFile>(found->second);
  }
  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override {
    return std::make_unique<Writable>(files_[path]);
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    files_[to] = std::move(files_[from]);
    files_.erase(from);
    return absl::OkStatus();
  }
  absl::Status Exchange(const std::string& a, const std::string& b) override {
    files_[a].swap(files_[b]);
    return absl::OkStatus();
  }
  absl::Status CreateDirectory(const std::string& /*path*/) override { return absl::OkStatus(); }
  absl::Status SyncDirectory(const std::string& /*path*/) override { return absl::OkStatus(); }
  absl::Status Remove(const std::string& path) override {
    files_.erase(path);
    return absl::OkStatus();
  }
  absl::Status RemoveTree(const std::string& path) override { return Remove(path); }
  absl::StatusOr<std::vector<std::string>> List(const std::string& /*path*/) override {
    return absl::UnimplementedError("there are no folders");
  }
  bool Exists(const std::string& path) override { return files_.count(path) != 0; }

 private:
  class Writable final : public WritableFile {
   public:
    explicit Writable(std::string& bytes) : bytes_(bytes) {}
    absl::Status WriteAt(uint64_t offset, absl::Span<const std::byte> data) override {
      if (bytes_.size() < offset + data.size()) bytes_.resize(offset + data.size());
      if (!data.empty()) std::memcpy(bytes_.data() + offset, data.data(), data.size());
      return absl::OkStatus();
    }
    absl::Status Sync() override { return absl::OkStatus(); }
    absl::Status Close() override { return absl::OkStatus(); }

   private:
    std::string& bytes_;
  };

  std::map<std::string, std::string> files_;
};

}  // namespace mrl
