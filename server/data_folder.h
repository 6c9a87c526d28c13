// The collections that a server owns: made, written to and removed by its callers.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/file.h"
#include "base/memory_account.h"
#include "index/collection/catalog.h"
#include "index/collection/live_collection.h"
#include "server/ballast.h"
#include "server/snapshot_folder.h"

namespace mrl::server {

// Thread-safe. Two threads work behind the calls: one seals and merges, one syncs what was written
// without waiting for the disk, at least once a second.
class DataFolder {
 public:
  struct Entry {
    std::string name;
    std::shared_ptr<collection::LiveCollection> live;  // null when it did not open
    absl::Status opened;
  };

  struct Options {
    uint32_t seal_rows = 0;                 // LiveOptions::seal_rows
    uint64_t disk_reserve_bytes = 0;        // 0 = none; a quarter of it again is the ballast
    coarse::gpu::DeviceSet* gpu = nullptr;  // see collection::Collection::Open
  };

  // Opens every collection; one that does not open is kept as damaged. `files` and `account`
  // outlive the folder.
  static absl::StatusOr<std::unique_ptr<DataFolder>> Open(FileSystem& files, MemoryAccount& account,
                                                          const std::string& folder,
                                                          const Options& options);
  // Closes every collection.
  ~DataFolder();

  // NOT_FOUND.
  absl::StatusOr<Entry> Get(const std::string& name) const;
  // In order of names.
  std::vector<Entry> List() const;
  // ALREADY_EXISTS when a collection or an alias has the name.
  absl::Status Create(const std::string& name, const Schema& schema);
  // As Create, with what the snapshot at `snapshot_path` has.
  absl::Status Restore(const std::string& name, const std::string& snapshot_path);
  SnapshotFolder& snapshots() const { return *snapshots_; }
  // NOT_FOUND. Calls that run keep what they hold until they end.
  absl::Status Delete(const std::string& name);
  // Opens one that did not open; OK when it is open.
  absl::Status Reopen(const std::string& name);

  // The name that an alias stands for, or `name` itself.
  std::string Resolve(const std::string& name) const;
  std::map<std::string, std::string> aliases() const { return catalog_->aliases(); }
  absl::Status ChangeAliases(const std::vector<collection::Catalog::AliasChange>& changes);
  // For what the server keeps beside the collections.
  collection::Catalog& catalog() { return *catalog_; }

 private:
  DataFolder(FileSystem& files, MemoryAccount& account, const std::string& folder,
             const Options& options, std::unique_ptr<collection::Catalog> catalog);
  // Names what `make` makes at the path that it is given, and opens it.
  absl::Status Add(const std::string& name,
                   const std::function<absl::Status(const std::string&)>& make);
  Entry OpenCollection(const std::string& name, const std::string& uuid);
  void Maintain();
  void SyncLate();
  // False when the folder closes.
  bool WaitForWork(absl::Duration at_most);
  std::vector<std::shared_ptr<collection::LiveCollection>> LiveOnes() const;

  FileSystem& files_;
  MemoryAccount& account_;
  const std::string folder_;
  const Options options_;
  Ballast ballast_;
  const std::unique_ptr<collection::Catalog> catalog_;
  std::unique_ptr<SnapshotFolder> snapshots_;
  absl::Mutex change_mutex_;  // one Create, Delete or Reopen at a time; taken before mutex_
  mutable absl::Mutex mutex_;
  std::map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  bool has_work_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread maintainer_;
  std::thread syncer_;
};

}  // namespace mrl::server
