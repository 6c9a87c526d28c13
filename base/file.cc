#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace mrl {
namespace {

class PosixReadableFile final : public ReadableFile {
 public:
  PosixReadableFile(int descriptor, uint64_t size, std::string path)
      : descriptor_(descriptor), size_(size), path_(std::move(path)) {}
  PosixReadableFile(const PosixReadableFile&) = delete;
  PosixReadableFile& operator=(const PosixReadableFile&) = delete;
  ~PosixReadableFile() override { close(descriptor_); }

  uint64_t size() const override { return size_; }

  absl::Status ReadAt(uint64_t offset, absl::Span<std::byte> out) const override {
    while (!out.empty()) {
      const ssize_t got = pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return ErrnoStatus(errno, absl::StrCat("read ", path_));
      if (got == 0) {
        return absl::OutOfRangeError(absl::StrCat(path_, ": the file ends at byte ", offset, "; ",
                                                  out.size(), " more were expected"));
      }
      offset += static_cast<uint64_t>(got);
      out.remove_prefix(static_cast<size_t>(got));
    }
    return absl::OkStatus();
  }

  void WillNeed(uint64_t offset, uint64_t bytes) const override {
    posix_fadvise(descriptor_, static_cast<off_t>(offset), static_cast<off_t>(bytes),
                  POSIX_FADV_WILLNEED);
  }

  absl::StatusOr<std::unique_ptr<MappedBytes>> Map(uint64_t offset, uint64_t bytes) const override {
    absl::StatusOr<std::unique_ptr<MappedBytes>> mapped =
        MappedBytes::Map(descriptor_, offset, bytes);
    if (!mapped.ok()) return Annotate(mapped.status(), path_);
    return mapped;
  }

 private:
  const int descriptor_;
  const uint64_t size_;
  const std::string path_;
};

class PosixWritableFile final : public WritableFile {
 public:
  PosixWritableFile(int descriptor, std::string path)
      : descriptor_(descriptor), path_(std::move(path)) {}
  PosixWritableFile(const PosixWritableFile&) = delete;
  PosixWritableFile& operator=(const PosixWritableFile&) = delete;
  ~PosixWritableFile() override {
    if (descriptor_ >= 0) close(descriptor_);
  }

  absl::Status WriteAt(uint64_t offset, absl::Span<const std::byte> data) override {
    while (!data.empty()) {
      const ssize_t put = pwrite(descriptor_, data.data(), data.size(), static_cast<off_t>(offset));
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return ErrnoStatus(errno, absl::StrCat("write ", path_));
      offset += static_cast<uint64_t>(put);
      data.remove_prefix(static_cast<size_t>(put));
    }
    return absl::OkStatus();
  }

  void StartSync() override { sync_file_range(descriptor_, 0, 0, SYNC_FILE_RANGE_WRITE); }

  absl::Status Sync() override {
    if (fsync(descriptor_) != 0) return ErrnoStatus(errno, absl::StrCat("sync ", path_));
    return absl::OkStatus();
  }

  absl::Status Close() override {
    const int descriptor = std::exchange(descriptor_, -1);
    if (close(descriptor) != 0) return ErrnoStatus(errno, absl::StrCat("close ", path_));
    return absl::OkStatus();
  }

 private:
  int descriptor_;
  const std::string path_;
};

class PosixFileSystem final : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<ReadableFile>> Open(const std::string& path) override {
    const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return ErrnoStatus(errno, absl::StrCat("open ", path));
    struct stat info = {};
    if (fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode)) {
      close(descriptor);
      return absl::InvalidArgumentError(absl::StrCat(path, " is not a regular file"));
    }
    return std::make_unique<PosixReadableFile>(descriptor, info.st_size, path);
  }

  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override {
    const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (descriptor < 0) return ErrnoStatus(errno, absl::StrCat("create ", path));
    return std::make_unique<PosixWritableFile>(descriptor, path);
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    if (rename(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
    return ErrnoStatus(errno, absl::StrCat("rename ", from, " to ", to));
  }

  absl::Status Exchange(const std::string& a, const std::string& b) override {
    if (syscall(SYS_renameat2, AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0) {
      return absl::OkStatus();
    }
    return ErrnoStatus(errno, absl::StrCat("exchange ", a, " and ", b));
  }

  absl::Status CreateDirectory(const std::string& path) override {
    if (mkdir(path.c_str(), 0755) == 0) return absl::OkStatus();
    return ErrnoStatus(errno, absl::StrCat("create folder ", path));
  }

  absl::Status SyncDirectory(const std::string& path) override {
    const int descriptor = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return ErrnoStatus(errno, absl::StrCat("open folder ", path));
    const int result = fsync(descriptor);
    const int error = errno;
    close(descriptor);
    if (result != 0) return ErrnoStatus(error, absl::StrCat("sync folder ", path));
    return absl::OkStatus();
  }

  absl::Status Remove(const std::string& path) override {
    if (unlink(path.c_str()) == 0) return absl::OkStatus();
    return ErrnoStatus(errno, absl::StrCat("remove ", path));
  }

  absl::Status RemoveTree(const std::string& path) override {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error) return ErrnoStatus(error.value(), absl::StrCat("remove ", path));
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override {
    std::error_code error;
    std::vector<std::string> names;
    for (std::filesystem::directory_iterator entry(path, error), end; !error && entry != end;
         entry.increment(error)) {
      names.push_back(entry->path().filename().string());
    }
    if (error) return ErrnoStatus(error.value(), absl::StrCat("list ", path));
    std::sort(names.begin(), names.end());
    return names;
  }

  bool Exists(const std::string& path) override { return access(path.c_str(), F_OK) == 0; }
};

}  // namespace

void ReadableFile::WillNeed(uint64_t /*offset*/, uint64_t /*bytes*/) const {}

void WritableFile::StartSync() {}

absl::StatusOr<std::unique_ptr<MappedBytes>> ReadableFile::Map(uint64_t offset,
                                                               uint64_t bytes) const {
  MRL_ASSIGN_OR_RETURN(Buffer copy, Buffer::Allocate(bytes));
  MRL_RETURN_IF_ERROR(ReadAt(offset, absl::MakeSpan(copy.data(), copy.size())));
  return MappedBytes::Hold(std::move(copy));
}

FileSystem& FileSystem::Posix() {
  static PosixFileSystem files;
  return files;
}

std::string JoinPath(absl::string_view folder, absl::string_view name) {
  if (folder.empty() || folder.back() == '/') return absl::StrCat(folder, name);
  return absl::StrCat(folder, "/", name);
}

std::string ParentPath(absl::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  if (slash == absl::string_view::npos) return ".";
  return std::string(path.substr(0, std::max<size_t>(slash, 1)));
}

absl::StatusOr<std::string> ReadFile(FileSystem& files, const std::string& path,
                                     uint64_t bytes_max) {
  MRL_ASSIGN_OR_RETURN(std::unique_ptr<ReadableFile> file, files.Open(path));
  if (file->size() > bytes_max) {
    return absl::ResourceExhaustedError(
        absl::StrCat(path, " has ", file->size(), " bytes; the limit is ", bytes_max));
  }
  std::string text(file->size(), '\0');
  MRL_RETURN_IF_ERROR(
      file->ReadAt(0, absl::MakeSpan(reinterpret_cast<std::byte*>(text.data()), text.size())));
  return text;
}

}  // namespace mrl
