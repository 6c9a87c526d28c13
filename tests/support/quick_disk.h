// A disk that calls every sync done: for tests that ask what is right and not what is durable.
#pragma once

#include <rocksdb/env.h>

#include <memory>

#include "base/file.h"

namespace mrl::test {

class QuickFiles : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override;
  absl::Status SyncDirectory(const std::string&) override { return absl::OkStatus(); }

  absl::StatusOr<std::unique_ptr<ReadableFile>> Open(const std::string& path) override {
    return base_.Open(path);
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    return base_.Rename(from, to);
  }
  absl::Status Exchange(const std::string& a, const std::string& b) override {
    return base_.Exchange(a, b);
  }
  absl::Status CreateDirectory(const std::string& path) override {
    return base_.CreateDirectory(path);
  }
  absl::Status Remove(const std::string& path) override { return base_.Remove(path); }
  absl::Status RemoveTree(const std::string& path) override { return base_.RemoveTree(path); }
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override {
    return base_.List(path);
  }
  bool Exists(const std::string& path) override { return base_.Exists(path); }

 private:
  FileSystem& base_ = FileSystem::Posix();
};

// The same for RocksDB.
std::unique_ptr<rocksdb::Env> MakeQuickEnv();

}  // namespace mrl::test
