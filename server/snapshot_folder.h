// The snapshots of a server: DATA/snapshots/COLLECTION/NAME. They stay when their collection goes.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/file.h"
#include "index/collection/live_collection.h"
#include "index/collection/snapshot.h"

namespace mrl::server {

// Thread-safe.
class SnapshotFolder {
 public:
  struct Entry {
    std::string collection;
    std::string name;
    collection::Snapshot snapshot;
  };
  // One that is being uploaded; its name is taken as long.
  class Upload {
   public:
    ~Upload();
    // As ArchiveWriter::Append.
    absl::Status Append(absl::string_view bytes) { return writer_.Append(bytes); }
    // Nothing until all of it came.
    const collection::Snapshot* done() const {
      return writer_.complete() ? &writer_.snapshot() : nullptr;
    }

   private:
    friend class SnapshotFolder;
    Upload(SnapshotFolder& folder, std::string key, std::string path, uint64_t bytes_max);
    SnapshotFolder& folder_;
    const std::string key_;
    collection::ArchiveWriter writer_;
  };

  // Removes what an earlier process left half-made. `files` outlives the folder.
  static absl::StatusOr<std::unique_ptr<SnapshotFolder>> Open(FileSystem& files,
                                                              const std::string& data_folder);

  // ALREADY_EXISTS when the collection has a snapshot of that name, or one is being made.
  absl::StatusOr<Entry> Create(const std::string& collection, const std::string& name,
                               collection::LiveCollection& live);
  // NOT_FOUND, DATA_LOSS.
  absl::StatusOr<Entry> Get(const std::string& collection, const std::string& name) const;
  // In order of names; those whose list is damaged are left out.
  absl::StatusOr<std::vector<Entry>> List(const std::string& collection) const;
  absl::Status Delete(const std::string& collection, const std::string& name);
  absl::StatusOr<std::unique_ptr<collection::ArchiveReader>> Download(
      const std::string& collection, const std::string& name) const;
  // ALREADY_EXISTS as Create. Takes what the disk has, but for a tenth.
  absl::StatusOr<std::unique_ptr<Upload>> StartUpload(const std::string& collection,
                                                      const std::string& name);
  std::string PathOf(const std::string& collection, const std::string& name) const;

 private:
  SnapshotFolder(FileSystem& files, std::string root) : files_(files), root_(std::move(root)) {}
  absl::Status Sweep();
  // Takes a name for one call, and gives it back.
  absl::Status Take(const std::string& collection, const std::string& name);
  void Release(const std::string& key);

  FileSystem& files_;
  const std::string root_;
  mutable absl::Mutex mutex_;
  std::set<std::string> busy_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mrl::server
