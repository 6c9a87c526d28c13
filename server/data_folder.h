// The collections that a server owns: made, written to and removed by its callers.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
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
// without waiting for the disk, at least once a second. Some of the collections are open; another
// is opened when it is used, and the one that was not used for longest is closed for it.
class DataFolder {
 public:
  struct Entry {
    std::string name;
    std::shared_ptr<collection::LiveCollection> live;  // null when it is idle or did not open
    absl::Status opened;
    bool idle = false;  // it has not been tried since it was closed, or since the start
  };

  struct Options {
    uint32_t seal_rows = 0;           // LiveOptions::seal_rows
    uint64_t disk_reserve_bytes = 0;  // 0 = none; a quarter of it again is the ballast
    collection::OpenOptions open = {};
    // Collections that stay open; lowered to what the process may have of descriptors. What is in
    // use is not closed, so that there may be more for a while.
    size_t open_max = 100;
    // Asked before each collection is opened at the start; once it says so, Open is CANCELLED. None
    // = never.
    std::function<bool()> stopped = {};
  };

  // Opens every collection if they are no more than open_max, and none otherwise; one that does not
  // open is kept as damaged. `files` and `account` outlive the folder.
  static absl::StatusOr<std::unique_ptr<DataFolder>> Open(FileSystem& files, MemoryAccount& account,
                                                          const std::string& folder,
                                                          const Options& options);
  // Closes every collection.
  ~DataFolder();

  // As it is. NOT_FOUND.
  absl::StatusOr<Entry> Get(const std::string& name) const;
  // The same after opening it where it is idle.
  absl::StatusOr<Entry> Use(const std::string& name);
  // In order of names.
  std::vector<Entry> List() const;
  bool empty() const;
  // Whether one of them is open, or idle.
  bool ServesAny() const;
  // ALREADY_EXISTS when a collection or an alias has the name.
  absl::Status Create(const std::string& name, const Schema& schema);
  // As Create, with what the snapshot at `snapshot_path` has, in the folder of `uuid`; OK where the
  // name stands for that folder already.
  absl::Status Restore(const std::string& name, const std::string& snapshot_path,
                       const std::string& uuid, const collection::Watch& watch);
  SnapshotFolder& snapshots() const { return *snapshots_; }
  // NOT_FOUND. Calls that run keep what they hold until they end.
  absl::Status Delete(const std::string& name);
  // Opens one that did not open; OK when it is open or idle.
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
  struct Slot {
    Slot(std::string slot_name, std::string slot_uuid)
        : name(std::move(slot_name)), uuid(std::move(slot_uuid)) {}
    const std::string name;
    const std::string uuid;
    absl::Mutex turn;  // one opens or closes it at a time; taken before mutex_
    // Under mutex_.
    std::shared_ptr<collection::LiveCollection> live;
    absl::Status opened;
    bool idle = true;
    bool gone = false;  // it was deleted
    uint64_t used = 0;  // of uses_, when it was used last
  };
  static Entry EntryOf(const Slot& slot);
  // Null when there is none.
  std::shared_ptr<Slot> Find(const std::string& name) const;
  // Names what `make` makes at the path that it is given, the folder of `uuid`, and opens it.
  absl::Status Add(const std::string& name, const std::string& uuid,
                   const std::function<absl::Status(const std::string&)>& make);
  absl::Status TakeName(const std::string& name);
  // Opens it if it is idle, or if it is damaged and `again`.
  Entry OpenSlot(Slot& slot, bool again);
  absl::StatusOr<std::shared_ptr<collection::LiveCollection>> OpenCollection(const Slot& slot);
  // Closes what was not used for longest until no more than open_max are open.
  void CloseUnused();
  // False when there is nothing more to close.
  bool CloseOne();
  void Maintain();
  void SyncLate();
  // False when the folder closes.
  bool WaitForWork(absl::Duration at_most);
  // Those that are open, each held by nobody until it is its turn.
  std::vector<std::weak_ptr<collection::LiveCollection>> LiveOnes() const;

  FileSystem& files_;
  MemoryAccount& account_;
  const std::string folder_;
  const Options options_;
  Ballast ballast_;
  const std::unique_ptr<collection::Catalog> catalog_;
  std::unique_ptr<SnapshotFolder> snapshots_;
  const size_t open_max_;
  absl::Mutex change_mutex_;  // one change of the names at a time; taken before all others
  mutable absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<Slot>> slots_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> being_made_ ABSL_GUARDED_BY(mutex_);  // names
  uint64_t uses_ ABSL_GUARDED_BY(mutex_) = 0;
  bool has_work_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread maintainer_;
  std::thread syncer_;
};

}  // namespace mrl::server
