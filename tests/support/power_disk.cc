#include "tests/support/power_disk.h"

#include <pthread.h>
#include <rocksdb/file_system.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/status.h"
#include "tests/support/test_folder.h"

namespace mrl::test {
namespace {

constexpr uint64_t kSectorBytes = 512;

// RocksDB names its threads after their pools; compactions run in the low one, flushes in the high.
bool IsCompaction() {
  char name[16] = "";
  pthread_getname_np(pthread_self(), name, sizeof name);
  return absl::string_view(name) == "rocksdb:low";
}

class PowerFile final : public WritableFile {
 public:
  PowerFile(PowerDisk& disk, std::string path, std::unique_ptr<WritableFile> base)
      : disk_(disk), path_(std::move(path)), base_(std::move(base)) {}
  absl::Status WriteAt(uint64_t offset, absl::Span<const std::byte> data) override {
    size_t bytes = data.size();
    absl::Status counted = disk_.CountWrite(&bytes);
    if (bytes > 0) {
      MRL_RETURN_IF_ERROR(base_->WriteAt(offset, data.first(bytes)));
      disk_.NoteWritten(path_, offset + bytes);
    }
    return counted;
  }
  absl::Status Sync() override {
    MRL_RETURN_IF_ERROR(disk_.Count());
    disk_.NoteSynced(path_);
    return absl::OkStatus();
  }
  absl::Status Close() override { return base_->Close(); }

 private:
  PowerDisk& disk_;
  const std::string path_;
  const std::unique_ptr<WritableFile> base_;
};

class PowerFiles final : public FileSystem {
 public:
  explicit PowerFiles(PowerDisk& disk) : disk_(disk) {}

  absl::StatusOr<std::unique_ptr<ReadableFile>> Open(const std::string& path) override {
    return base_.Open(path);
  }
  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override {
    MRL_RETURN_IF_ERROR(disk_.Count());
    MRL_ASSIGN_OR_RETURN(auto file, base_.Create(path));
    disk_.NoteCreated(path);
    return std::make_unique<PowerFile>(disk_, path, std::move(file));
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    MRL_RETURN_IF_ERROR(disk_.Count());
    MRL_RETURN_IF_ERROR(base_.Rename(from, to));
    disk_.NoteRenamed(from, to, false, "");
    return absl::OkStatus();
  }
  absl::Status Exchange(const std::string& a, const std::string& b) override {
    return base_.Exchange(a, b);
  }
  absl::Status CreateDirectory(const std::string& path) override {
    MRL_RETURN_IF_ERROR(disk_.Count());
    return base_.CreateDirectory(path);
  }
  absl::Status SyncDirectory(const std::string& path) override {
    MRL_RETURN_IF_ERROR(disk_.Count());
    disk_.NoteFolderSynced(path);
    return absl::OkStatus();
  }
  absl::Status Remove(const std::string& path) override {
    MRL_RETURN_IF_ERROR(disk_.Count());
    MRL_RETURN_IF_ERROR(base_.Remove(path));
    disk_.NoteRemoved(path);
    return absl::OkStatus();
  }
  absl::Status RemoveTree(const std::string& path) override {
    MRL_RETURN_IF_ERROR(disk_.Count());
    MRL_RETURN_IF_ERROR(base_.RemoveTree(path));
    disk_.NoteRemoved(path);
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override {
    return base_.List(path);
  }
  bool Exists(const std::string& path) override { return base_.Exists(path); }

 private:
  PowerDisk& disk_;
  FileSystem& base_ = FileSystem::Posix();
};

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

IOStatus ToRocks(const absl::Status& status) {
  if (status.ok()) return IOStatus::OK();
  if (absl::IsResourceExhausted(status)) return IOStatus::NoSpace(std::string(status.message()));
  return IOStatus::IOError(std::string(status.message()));
}

class PowerRocksFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  PowerRocksFile(PowerDisk& disk, std::string path, uint64_t end,
                 std::unique_ptr<rocksdb::FSWritableFile> base)
      : FSWritableFileOwnerWrapper(std::move(base)),
        disk_(disk),
        path_(std::move(path)),
        end_(end) {}

  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  IODebugContext* debug) override {
    size_t bytes = data.size();
    const IOStatus counted = ToRocks(disk_.CountWrite(&bytes));
    if (!counted.ok() && bytes == 0) return counted;
    const IOStatus done = target()->Append(rocksdb::Slice(data.data(), bytes), options, debug);
    if (done.ok()) disk_.NoteWritten(path_, end_ += bytes);
    return counted.ok() ? done : counted;
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo&, IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  IOStatus Sync(const IOOptions&, IODebugContext*) override {
    const IOStatus counted = ToRocks(disk_.Count());
    if (counted.ok()) disk_.NoteSynced(path_);
    return counted;
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return Sync(options, debug);
  }
  IOStatus RangeSync(uint64_t, uint64_t, const IOOptions&, IODebugContext*) override {
    return IOStatus::OK();
  }
  bool IsSyncThreadSafe() const override { return true; }

 private:
  PowerDisk& disk_;
  const std::string path_;
  uint64_t end_;
};

class PowerRocksDirectory final : public rocksdb::FSDirectoryWrapper {
 public:
  PowerRocksDirectory(PowerDisk& disk, std::string path, std::unique_ptr<rocksdb::FSDirectory> base)
      : FSDirectoryWrapper(std::move(base)), disk_(disk), path_(std::move(path)) {}
  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    const IOStatus counted = ToRocks(disk_.Count());
    if (counted.ok()) disk_.NoteFolderSynced(path_);
    return counted;
  }
  IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* debug,
                               const rocksdb::DirFsyncOptions&) override {
    return Fsync(options, debug);
  }

 private:
  PowerDisk& disk_;
  const std::string path_;
};

class PowerRocksFiles final : public rocksdb::FileSystemWrapper {
 public:
  explicit PowerRocksFiles(PowerDisk& disk)
      : FileSystemWrapper(rocksdb::FileSystem::Default()), disk_(disk) {}
  const char* Name() const override { return "PowerRocksFiles"; }

  IOStatus NewWritableFile(const std::string& name, const FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* result,
                           IODebugContext* debug) override {
    const IOStatus counted = ToRocks(disk_.Count());
    if (!counted.ok()) return counted;
    const IOStatus made = target()->NewWritableFile(name, options, result, debug);
    if (!made.ok()) return made;
    disk_.NoteCreated(name);
    *result = std::make_unique<PowerRocksFile>(disk_, name, 0, std::move(*result));
    return made;
  }
  IOStatus NewDirectory(const std::string& name, const IOOptions& options,
                        std::unique_ptr<rocksdb::FSDirectory>* result,
                        IODebugContext* debug) override {
    const IOStatus made = target()->NewDirectory(name, options, result, debug);
    if (made.ok()) {
      *result = std::make_unique<PowerRocksDirectory>(disk_, name, std::move(*result));
    }
    return made;
  }
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                      IODebugContext* debug) override {
    const IOStatus counted = ToRocks(disk_.Count());
    if (!counted.ok() || disk_.pretends()) return counted;
    const bool replaced = std::filesystem::exists(to);
    std::string old_bytes = replaced ? ReadBytes(to) : "";
    const IOStatus done = target()->RenameFile(from, to, options, debug);
    if (done.ok()) disk_.NoteRenamed(from, to, replaced, std::move(old_bytes));
    return done;
  }
  IOStatus LinkFile(const std::string& from, const std::string& to, const IOOptions& options,
                    IODebugContext* debug) override {
    const IOStatus counted = ToRocks(disk_.Count());
    if (!counted.ok()) return counted;
    const IOStatus done = target()->LinkFile(from, to, options, debug);
    if (done.ok()) disk_.NoteLinked(to);
    return done;
  }
  IOStatus DeleteFile(const std::string& name, const IOOptions& options,
                      IODebugContext* debug) override {
    const IOStatus counted = ToRocks(disk_.Count());
    if (!counted.ok() || disk_.pretends()) return counted;
    const IOStatus done = target()->DeleteFile(name, options, debug);
    if (done.ok()) disk_.NoteRemoved(name);
    return done;
  }

 private:
  PowerDisk& disk_;
};

}  // namespace

PowerDisk::PowerDisk()
    : files_(std::make_unique<PowerFiles>(*this)),
      env_(rocksdb::NewCompositeEnv(std::make_shared<PowerRocksFiles>(*this))) {}
PowerDisk::~PowerDisk() = default;

void PowerDisk::FailAt(uint64_t n, Fault fault) {
  absl::MutexLock lock(&mutex_);
  fail_at_ = n;
  fault_ = fault;
}

void PowerDisk::CutAt(uint64_t n) {
  absl::MutexLock lock(&mutex_);
  cut_at_ = n;
}

uint64_t PowerDisk::operations() const {
  absl::MutexLock lock(&mutex_);
  return operations_;
}

absl::Status PowerDisk::Count() {
  if (IsCompaction()) return absl::OkStatus();
  absl::MutexLock lock(&mutex_);
  ++operations_;
  if (operations_ == fail_at_) {
    if (fault_ == Fault::kNoSpace) return absl::ResourceExhaustedError("No space left on device");
    return absl::InternalError("Input/output error");
  }
  if (is_off()) return absl::InternalError("the power is off");
  return absl::OkStatus();
}

absl::Status PowerDisk::CountWrite(size_t* bytes) {
  absl::Status counted = Count();
  if (counted.ok()) return counted;
  absl::MutexLock lock(&mutex_);
  const bool is_short = fault_ == Fault::kShortWrite && operations_ == fail_at_;
  *bytes = is_short ? *bytes / 2 : 0;
  return counted;
}

bool PowerDisk::pretends() const {
  if (!IsCompaction()) return false;
  absl::MutexLock lock(&mutex_);
  return is_off();
}

void PowerDisk::NoteCreated(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  if (is_off()) {
    pretended_.push_back(path);
    return;
  }
  known_[path] = {};
  changes_.push_back({.from = "", .to = path, .replaced = false, .old_bytes = ""});
}

void PowerDisk::NoteLinked(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  if (is_off()) return;
  // Its bytes are another name's.
  changes_.push_back({.from = "", .to = path, .replaced = false, .old_bytes = ""});
}

void PowerDisk::NoteWritten(const std::string& path, uint64_t end) {
  absl::MutexLock lock(&mutex_);
  if (is_off()) return;
  known_[path].bytes = std::max(known_[path].bytes, end);
}

void PowerDisk::NoteSynced(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  if (is_off()) return;
  known_[path].synced_bytes = known_[path].bytes;
}

void PowerDisk::NoteFolderSynced(const std::string& folder) {
  absl::MutexLock lock(&mutex_);
  if (is_off()) return;
  std::erase_if(changes_, [&](const Change& change) {
    return ParentPath(change.to) == ParentPath(JoinPath(folder, "x"));
  });
}

void PowerDisk::NoteRenamed(const std::string& from, const std::string& to, bool replaced,
                            std::string old_bytes) {
  absl::MutexLock lock(&mutex_);
  std::map<std::string, File> moved;
  for (const auto& [path, file] : known_) {
    const bool inside = path == from || path.rfind(from + "/", 0) == 0;
    moved[inside ? to + path.substr(from.size()) : path] = file;
  }
  known_ = std::move(moved);
  for (Change& change : changes_) {
    if (change.to.rfind(from + "/", 0) == 0) change.to = to + change.to.substr(from.size());
  }
  changes_.push_back({.from = from, .to = to, .replaced = replaced, .old_bytes = old_bytes});
}

void PowerDisk::NoteRemoved(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  const auto is_in = [&](const std::string& one) {
    return one == path || one.rfind(path + "/", 0) == 0;
  };
  std::erase_if(known_, [&](const auto& file) { return is_in(file.first); });
  std::erase_if(changes_, [&](const Change& change) { return is_in(change.to); });
}

void PowerDisk::Undo(const Change& change) {
  std::error_code ignored;
  if (!std::filesystem::exists(ParentPath(change.to))) return;  // a folder whose rename was undone
  if (change.from.empty()) {
    std::filesystem::remove(change.to, ignored);
  } else {
    std::filesystem::rename(change.to, change.from, ignored);
    if (change.replaced) WriteBytes(change.to, change.old_bytes);
  }
}

void PowerDisk::LoseUnsynced(uint64_t seed) {
  absl::MutexLock lock(&mutex_);
  std::mt19937_64 random(seed);
  std::error_code ignored;
  for (const std::string& path : pretended_) std::filesystem::remove(path, ignored);
  for (const auto& [path, file] : known_) {
    if (!std::filesystem::exists(path)) continue;
    if (file.bytes == file.synced_bytes && std::filesystem::file_size(path) == file.bytes) continue;
    const uint64_t kept = file.synced_bytes + random() % (file.bytes - file.synced_bytes + 1);
    std::string bytes = ReadBytes(path).substr(0, kept);
    if (random() % 2 == 0) {
      const uint64_t torn = std::min<uint64_t>(bytes.size() - file.synced_bytes, kSectorBytes);
      std::fill(bytes.end() - static_cast<ptrdiff_t>(torn), bytes.end(), '\0');
    }
    WriteBytes(path, bytes);
  }
  // A journal keeps the order of a folder's changes: what is lost is its end.
  const size_t kept = changes_.empty() ? 0 : random() % (changes_.size() + 1);
  for (size_t i = changes_.size(); i-- > kept;) Undo(changes_[i]);
}

}  // namespace mrl::test
