#include "tests/support/quick_disk.h"

#include <rocksdb/file_system.h>

#include <utility>

#include "base/status.h"

namespace mrl::test {
namespace {

class QuickFile final : public WritableFile {
 public:
  explicit QuickFile(std::unique_ptr<WritableFile> base) : base_(std::move(base)) {}
  absl::Status WriteAt(uint64_t offset, absl::Span<const std::byte> data) override {
    return base_->WriteAt(offset, data);
  }
  absl::Status Sync() override { return absl::OkStatus(); }
  absl::Status Close() override { return base_->Close(); }

 private:
  const std::unique_ptr<WritableFile> base_;
};

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

class QuickRocksFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  using FSWritableFileOwnerWrapper::FSWritableFileOwnerWrapper;
  IOStatus Sync(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Fsync(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus RangeSync(uint64_t, uint64_t, const IOOptions&, IODebugContext*) override {
    return IOStatus::OK();
  }
};

class QuickRocksDirectory final : public rocksdb::FSDirectoryWrapper {
 public:
  using FSDirectoryWrapper::FSDirectoryWrapper;
  IOStatus Fsync(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus FsyncWithDirOptions(const IOOptions&, IODebugContext*,
                               const rocksdb::DirFsyncOptions&) override {
    return IOStatus::OK();
  }
};

class QuickRocksFiles final : public rocksdb::FileSystemWrapper {
 public:
  QuickRocksFiles() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "QuickRocksFiles"; }

  IOStatus NewWritableFile(const std::string& name, const FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* result,
                           IODebugContext* debug) override {
    const IOStatus made = target()->NewWritableFile(name, options, result, debug);
    if (made.ok()) *result = std::make_unique<QuickRocksFile>(std::move(*result));
    return made;
  }
  IOStatus NewDirectory(const std::string& name, const IOOptions& options,
                        std::unique_ptr<rocksdb::FSDirectory>* result,
                        IODebugContext* debug) override {
    const IOStatus made = target()->NewDirectory(name, options, result, debug);
    if (made.ok()) *result = std::make_unique<QuickRocksDirectory>(std::move(*result));
    return made;
  }
};

}  // namespace

absl::StatusOr<std::unique_ptr<WritableFile>> QuickFiles::Create(const std::string& path) {
  MRL_ASSIGN_OR_RETURN(auto file, base_.Create(path));
  return std::make_unique<QuickFile>(std::move(file));
}

std::unique_ptr<rocksdb::Env> MakeQuickEnv() {
  return rocksdb::NewCompositeEnv(std::make_shared<QuickRocksFiles>());
}

}  // namespace mrl::test
