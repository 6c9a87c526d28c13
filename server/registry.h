// The collections that are served, by name: directories given with --index, read-only, and those of
// the data folder. A call takes one immutable Collection and keeps it to its end, so that a reload
// or a write in between changes nothing for it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/file.h"
#include "base/memory_account.h"
#include "index/collection/collection.h"
#include "server/data_folder.h"

namespace mrl::server {

struct IndexPath {
  std::string name;
  std::string directory;
  bool operator==(const IndexPath&) const = default;
};

// Thread-safe.
class Registry {
 public:
  struct Entry {
    IndexPath path;
    std::shared_ptr<const collection::Collection> collection;  // null until it opened once
    absl::Status last_open;
    std::shared_ptr<collection::LiveCollection> live = nullptr;  // null for --index, or damaged
    bool read_only = true;
    bool idle = false;  // of the data folder: it is opened when it is used
  };
  // Told after a collection was opened, or has gone, with whether it is served. May be called by
  // any thread.
  using Observer = std::function<void(const std::string& name, bool serving)>;

  // `files` and `account` outlive the registry. Names are unique. Nothing is opened yet.
  Registry(FileSystem& files, MemoryAccount& account, const std::vector<IndexPath>& paths);

  // Runs on a version that was opened from an --index, before callers get it.
  using Preparer = std::function<void(const std::string& name, const collection::Collection&)>;

  void SetObserver(Observer observer);
  // Once, before the first Reload.
  void SetPreparer(Preparer prepare) { prepare_ = std::move(prepare); }
  // Of every collection that is opened from now on. Once, before anything is opened.
  void SetOpenOptions(const collection::OpenOptions& options) { open_options_ = options; }
  // Null before SetOpenOptions.
  const coarse::gpu::DeviceSet* gpu() const { return open_options_.gpu; }
  // Takes over a data folder and opens its collections. Once, before calls come. ALREADY_EXISTS
  // when one has the name of an --index.
  absl::Status OpenDataFolder(const std::string& folder, DataFolder::Options options);

  // By name or alias; opens one that is idle. NOT_FOUND names the collection and those that exist.
  absl::StatusOr<Entry> Get(const std::string& name) const;
  // The same as it is, opening nothing.
  absl::StatusOr<Entry> Peek(const std::string& name) const;
  // As Get; DATA_LOSS (or FAILED_PRECONDITION, where the directory is missing or memory lacks) with
  // the damaged part for a collection that never opened.
  absl::StatusOr<std::shared_ptr<const collection::Collection>> Find(const std::string& name) const;
  // As Find, for writing. FAILED_PRECONDITION for a collection of an --index.
  absl::StatusOr<std::shared_ptr<collection::LiveCollection>> FindLive(
      const std::string& name) const;
  // Changes a collection's profiles, whether it takes writes or not; searches that begin later see
  // the change. An error of `edit` changes nothing and is returned. FAILED_PRECONDITION where the
  // directory of an --index holds another version than is served.
  absl::Status EditProfiles(const std::string& name, const collection::ProfileEdit& edit);
  // In order of names.
  std::vector<Entry> List() const;
  // Whether traffic should come here: a collection is served, or opened when it is used, or there
  // is none at all. One damaged collection does not take the others away.
  bool Usable() const;

  // In the data folder; FAILED_PRECONDITION without one.
  absl::Status Create(const std::string& name, const Schema& schema, bool validate_only);
  // See DataFolder::Restore.
  absl::Status Restore(const std::string& name, const std::string& snapshot_path,
                       const std::string& uuid, const collection::Watch& watch);
  absl::StatusOr<SnapshotFolder*> snapshots() const;
  // ALREADY_EXISTS where a collection, an index or an alias has the name.
  absl::Status CheckFree(const std::string& name) const;
  absl::Status Delete(const std::string& name);
  absl::Status ChangeAliases(const std::vector<collection::Catalog::AliasChange>& changes);
  std::map<std::string, std::string> aliases() const;

  // Opens what lies in the directory now and swaps it in. On failure the version that was served
  // stays. Reloads wait for each other.
  absl::Status Reload(const std::string& name);
  // Every collection, or until `stopped`, which is asked before each; failures are kept in the
  // entries and logged.
  void ReloadAll(const std::function<bool()>& stopped);
  // Replaces the list of --index directories: those that are gone are served no more, new ones and
  // those whose directory changed are opened by the next ReloadAll. One with the name of a
  // collection or an alias of the data folder is left out, and logged.
  void SetIndexes(const std::vector<IndexPath>& paths);

  const MemoryAccount& account() const { return account_; }
  // Null without a data folder.
  collection::Catalog* catalog() { return data_ == nullptr ? nullptr : &data_->catalog(); }

 private:
  void Report(const std::string& name, bool serving) const;
  absl::Status NotFound(const std::string& name) const;
  // OK when there is a data folder.
  absl::Status NeedDataFolder() const;

  FileSystem& files_;
  MemoryAccount& account_;
  collection::OpenOptions open_options_;
  absl::Mutex reload_mutex_;  // held through a whole reload; taken before mutex_
  mutable absl::Mutex mutex_;
  std::map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  Observer observer_ ABSL_GUARDED_BY(mutex_);
  Preparer prepare_;
  std::unique_ptr<DataFolder> data_;  // null without --data-dir; set before calls come
};

}  // namespace mrl::server
