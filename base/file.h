// The I/O seam: everything the project reads or writes on disk goes through a FileSystem, so that
// tests can fail the n-th operation, tear writes or drop what was not synced.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/mapped_bytes.h"

namespace mrl {

// Thread-safe.
class ReadableFile {
 public:
  virtual ~ReadableFile() = default;
  // Bytes in the file when it was opened.
  virtual uint64_t size() const = 0;
  // Fills `out` from `offset`. OUT_OF_RANGE when the file ends before that.
  virtual absl::Status ReadAt(uint64_t offset, absl::Span<std::byte> out) const = 0;
  // Says that these bytes are read soon: the device may begin. A wish.
  virtual void WillNeed(uint64_t offset, uint64_t bytes) const;
  // Bytes [offset, offset + bytes) as memory; here a copy, which counts for nobody. OUT_OF_RANGE
  // when the file ends before that.
  virtual absl::StatusOr<std::unique_ptr<MappedBytes>> Map(uint64_t offset, uint64_t bytes) const;
};

// Not thread-safe. A file that is destroyed without Close is closed and its errors are lost.
class WritableFile {
 public:
  virtual ~WritableFile() = default;
  // Writes all of `data` at `offset`, past the end too. RESOURCE_EXHAUSTED on a full disk.
  virtual absl::Status WriteAt(uint64_t offset, absl::Span<const std::byte> data) = 0;
  // Says that Sync comes when more is written: the device may begin with what is there. A wish.
  virtual void StartSync();
  virtual absl::Status Sync() = 0;
  virtual absl::Status Close() = 0;
};

// Paths are used as given. Errors name the path. Thread-safe.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual absl::StatusOr<std::unique_ptr<ReadableFile>> Open(const std::string& path) = 0;
  // ALREADY_EXISTS when there is one.
  virtual absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) = 0;
  // Replaces `to` if it exists.
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  // Swaps two existing names in one step.
  virtual absl::Status Exchange(const std::string& a, const std::string& b) = 0;
  virtual absl::Status CreateDirectory(const std::string& path) = 0;
  virtual absl::Status SyncDirectory(const std::string& path) = 0;
  virtual absl::Status Remove(const std::string& path) = 0;
  // Removes a file or folder with all that is in it; a missing one is OK.
  virtual absl::Status RemoveTree(const std::string& path) = 0;
  // Names in a folder, sorted, without `.` and `..`.
  virtual absl::StatusOr<std::vector<std::string>> List(const std::string& path) = 0;
  virtual bool Exists(const std::string& path) = 0;

  // The system's own, stateless.
  static FileSystem& Posix();
};

// `folder/name`, with one slash between.
std::string JoinPath(absl::string_view folder, absl::string_view name);
// The folder that holds `path`; "." when it names none.
std::string ParentPath(absl::string_view path);
// A whole small file. RESOURCE_EXHAUSTED when it is larger than `bytes_max`.
absl::StatusOr<std::string> ReadFile(FileSystem& files, const std::string& path,
                                     uint64_t bytes_max);

}  // namespace mrl
