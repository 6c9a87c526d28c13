// A copy of a collection as it was at one sequence number: a directory of its own, with hard links
// to what never changes, and a list of its files with their checksums. docs/formats/snapshot.md.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/file.h"
#include "index/collection/watch.h"

namespace rocksdb {
class Env;
}

namespace mrl::collection {

struct Snapshot {
  struct File {
    std::string name;  // db/NAME or segments/NAME
    uint64_t bytes = 0;
    uint64_t checksum = 0;
    bool operator==(const File&) const = default;
  };
  static constexpr size_t kFilesMax = 100'000;
  static constexpr uint64_t kListBytesMax = 16 << 20;

  std::string collection_uuid;
  uint64_t generation = 0;
  uint64_t sequence = 0;  // of the newest write that it has
  uint64_t rows = 0;
  int64_t created_unix_s = 0;
  std::vector<File> files;

  uint64_t bytes() const;  // of all files
  std::string Serialize() const;
  // INVALID_ARGUMENT for what Serialize does not make: names with other bytes than a collection's,
  // names that come twice, sizes that overflow.
  static absl::StatusOr<Snapshot> Parse(const std::string& bytes);
  bool operator==(const Snapshot&) const = default;
};

// Takes a checkpoint, `folder`/db, and the segments that it names, by links from `collection`;
// lists all of it in `folder`, syncs it, and gives back the list. `folder` exists and is empty.
absl::StatusOr<Snapshot> ListSnapshot(FileSystem& files, const std::string& folder,
                                      const std::string& collection, rocksdb::Env* env);

// Writes the list of what lies in `folder`, and syncs all its folders.
absl::Status WriteSnapshotList(FileSystem& files, const std::string& folder,
                               const Snapshot& snapshot);
// NOT_FOUND when there is none at `folder`; DATA_LOSS.
absl::StatusOr<Snapshot> ReadSnapshot(FileSystem& files, const std::string& folder);
// Reads every byte, of which `watch` hears. DATA_LOSS names the file that is missing, of another
// size or damaged.
absl::Status CheckSnapshot(FileSystem& files, const std::string& folder, const Snapshot& snapshot,
                           const Watch& watch = {});

// Makes a collection with a uuid of its own at `path`, which must not exist, from the snapshot at
// `folder`, beside it and with a rename. Checks the snapshot first. Segments and tables are linked.
absl::Status RestoreSnapshot(FileSystem& files, const std::string& folder, const std::string& path,
                             rocksdb::Env* env = nullptr, const Watch& watch = {});

// A snapshot as one stream of bytes: the list, then the files end to end. Not thread-safe.
class ArchiveReader {
 public:
  static absl::StatusOr<std::unique_ptr<ArchiveReader>> Open(FileSystem& files,
                                                             const std::string& folder);
  const Snapshot& snapshot() const { return snapshot_; }
  // The next bytes, `bytes_max` at most; empty at the end. DATA_LOSS where a file is not what the
  // list says.
  absl::StatusOr<std::string> Next(size_t bytes_max);

 private:
  ArchiveReader(FileSystem& files, std::string folder, Snapshot snapshot);

  FileSystem& files_;
  const std::string folder_;
  const Snapshot snapshot_;
  std::string head_;  // what is left of it
  size_t next_file_ = 0;
  std::unique_ptr<ReadableFile> file_;
  uint64_t offset_ = 0;  // in file_
};

// Takes an archive apart into a snapshot at `folder`, which must not exist: it is there under its
// name only when all of it came and was found sound. Whatever the bytes are, nothing is written
// outside of `folder`'s temporary neighbour, and not more than the list says. Not thread-safe.
class ArchiveWriter {
 public:
  // `bytes_max`: what a snapshot may take.
  ArchiveWriter(FileSystem& files, std::string folder, uint64_t bytes_max);
  ~ArchiveWriter();

  // INVALID_ARGUMENT for bytes that are no archive, or go on behind its end; RESOURCE_EXHAUSTED for
  // one that needs more than `bytes_max` or than the disk has. After an error nothing more may
  // come.
  absl::Status Append(absl::string_view bytes);
  bool complete() const { return complete_; }
  // When complete.
  const Snapshot& snapshot() const { return snapshot_; }

 private:
  absl::Status ReadHead();
  absl::Status AppendToFiles(absl::string_view bytes);
  absl::Status OpenNext();
  absl::Status Finish();

  FileSystem& files_;
  const std::string folder_;
  const std::string temporary_;
  const uint64_t bytes_max_;
  std::string head_;
  bool has_list_ = false;
  bool complete_ = false;
  Snapshot snapshot_;
  size_t next_file_ = 0;
  std::unique_ptr<WritableFile> file_;
  uint64_t offset_ = 0;  // in file_
};

}  // namespace mrl::collection
