#include "server/data_folder.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"

namespace mrl::server {
namespace {

constexpr absl::Duration kMaintainEvery = absl::Seconds(5);
constexpr uint64_t kBallastShare = 4;  // of the reserve
constexpr absl::Duration kSyncEvery = absl::Milliseconds(500);

}  // namespace

DataFolder::DataFolder(FileSystem& files, MemoryAccount& account, const std::string& folder,
                       const Options& options, std::unique_ptr<collection::Catalog> catalog)
    : files_(files),
      account_(account),
      folder_(folder),
      options_(options),
      ballast_(files, JoinPath(folder, "ballast"), options.disk_reserve_bytes / kBallastShare),
      catalog_(std::move(catalog)) {}

absl::StatusOr<std::unique_ptr<DataFolder>> DataFolder::Open(FileSystem& files,
                                                             MemoryAccount& account,
                                                             const std::string& folder,
                                                             const Options& options) {
  MRL_ASSIGN_OR_RETURN(auto catalog, collection::Catalog::Open(files, folder));
  if (!catalog->removed_folders().empty()) {
    spdlog::warn("{}: removed folders without a name: {}", folder,
                 absl::StrJoin(catalog->removed_folders(), ", "));
  }
  std::unique_ptr<DataFolder> data(
      new DataFolder(files, account, folder, options, std::move(catalog)));
  MRL_ASSIGN_OR_RETURN(data->snapshots_, SnapshotFolder::Open(files, folder));
  for (const auto& [name, uuid] : data->catalog_->collections()) {
    Entry entry = data->OpenCollection(name, uuid);
    absl::MutexLock lock(&data->mutex_);
    data->entries_[name] = std::move(entry);
  }
  data->maintainer_ = std::thread([self = data.get()] { self->Maintain(); });
  data->syncer_ = std::thread([self = data.get()] { self->SyncLate(); });
  return data;
}

DataFolder::~DataFolder() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (maintainer_.joinable()) maintainer_.join();
  if (syncer_.joinable()) syncer_.join();
  for (const Entry& entry : List()) {
    if (entry.live == nullptr) continue;
    const absl::Status closed = entry.live->Close();
    if (!closed.ok()) spdlog::error("collection '{}': {}", entry.name, closed.ToString());
  }
}

DataFolder::Entry DataFolder::OpenCollection(const std::string& name, const std::string& uuid) {
  collection::LiveOptions options;
  options.seal_rows = options_.seal_rows;
  options.disk.bytes = options_.disk_reserve_bytes;
  options.disk.on_full = [this] { ballast_.Release(); };
  options.gpu = options_.gpu;
  options.on_work = [this] {
    absl::MutexLock lock(&mutex_);
    has_work_ = true;
  };
  auto opened =
      collection::LiveCollection::Open(files_, catalog_->FolderOf(uuid), account_, options);
  Entry entry = {.name = name, .live = nullptr, .opened = opened.status()};
  if (!opened.ok()) {
    spdlog::error("collection '{}': {}; it is not served", name, opened.status().ToString());
    return entry;
  }
  entry.live = *std::move(opened);
  if (!entry.live->removed_files().empty()) {
    spdlog::warn("collection '{}': removed files that no manifest names: {}", name,
                 absl::StrJoin(entry.live->removed_files(), ", "));
  }
  const auto version = entry.live->Read();
  spdlog::info("collection '{}': generation {}, {} rows, sequence {}", name, version->generation(),
               version->rows(), version->sequence());
  return entry;
}

absl::StatusOr<DataFolder::Entry> DataFolder::Get(const std::string& name) const {
  absl::MutexLock lock(&mutex_);
  if (const auto found = entries_.find(name); found != entries_.end()) return found->second;
  return absl::NotFoundError(absl::StrCat("collection '", name, "' does not exist"));
}

std::vector<DataFolder::Entry> DataFolder::List() const {
  absl::MutexLock lock(&mutex_);
  std::vector<Entry> entries;
  for (const auto& [name, entry] : entries_) entries.push_back(entry);
  return entries;
}

absl::Status DataFolder::Create(const std::string& name, const Schema& schema) {
  return Add(name, [&](const std::string& path) {
    return collection::LiveCollection::Create(files_, path, schema);
  });
}

absl::Status DataFolder::Restore(const std::string& name, const std::string& snapshot_path) {
  return Add(name, [&](const std::string& path) {
    return collection::RestoreSnapshot(files_, snapshot_path, path);
  });
}

absl::Status DataFolder::Add(const std::string& name,
                             const std::function<absl::Status(const std::string&)>& make) {
  MRL_RETURN_IF_ERROR(collection::CheckName(name));
  absl::MutexLock change_lock(&change_mutex_);
  const bool is_taken = Get(name).ok() || catalog_->aliases().count(name) > 0;
  if (is_taken) {
    return absl::AlreadyExistsError(absl::StrCat("the name '", name, "' is taken"));
  }
  const std::string uuid = collection::Catalog::NewUuid();
  MRL_RETURN_IF_ERROR(make(catalog_->FolderOf(uuid)));
  absl::Status named = catalog_->Add(name, uuid);
  if (!named.ok()) {
    files_.RemoveTree(catalog_->FolderOf(uuid)).IgnoreError();
    return named;
  }
  Entry entry = OpenCollection(name, uuid);
  absl::Status opened = entry.opened;
  absl::MutexLock lock(&mutex_);
  entries_[name] = std::move(entry);
  return opened;
}

absl::Status DataFolder::Delete(const std::string& name) {
  absl::MutexLock change_lock(&change_mutex_);
  MRL_ASSIGN_OR_RETURN(const Entry entry, Get(name));
  const std::string uuid = catalog_->collections().at(name);
  MRL_RETURN_IF_ERROR(catalog_->Remove(name));
  {
    absl::MutexLock lock(&mutex_);
    entries_.erase(name);
  }
  // What goes wrong from here on leaves a folder without a name, which the next start removes.
  if (entry.live != nullptr) entry.live->Close().IgnoreError();
  const absl::Status removed = files_.RemoveTree(catalog_->FolderOf(uuid));
  if (!removed.ok()) spdlog::warn("collection '{}': {}", name, removed.ToString());
  spdlog::info("collection '{}': deleted", name);
  return absl::OkStatus();
}

absl::Status DataFolder::Reopen(const std::string& name) {
  absl::MutexLock change_lock(&change_mutex_);
  MRL_ASSIGN_OR_RETURN(const Entry before, Get(name));
  if (before.live != nullptr) return absl::OkStatus();
  Entry entry = OpenCollection(name, catalog_->collections().at(name));
  absl::Status opened = entry.opened;
  absl::MutexLock lock(&mutex_);
  entries_[name] = std::move(entry);
  return opened;
}

std::string DataFolder::Resolve(const std::string& name) const {
  {
    absl::MutexLock lock(&mutex_);
    if (entries_.count(name) > 0) return name;  // most calls; no alias has a collection's name
  }
  const auto aliases = catalog_->aliases();
  const auto found = aliases.find(name);
  return found == aliases.end() ? name : found->second;
}

absl::Status DataFolder::ChangeAliases(
    const std::vector<collection::Catalog::AliasChange>& changes) {
  absl::MutexLock change_lock(&change_mutex_);
  return catalog_->ChangeAliases(changes);
}

std::vector<std::shared_ptr<collection::LiveCollection>> DataFolder::LiveOnes() const {
  std::vector<std::shared_ptr<collection::LiveCollection>> ones;
  for (Entry& entry : List()) {
    if (entry.live != nullptr) ones.push_back(std::move(entry.live));
  }
  return ones;
}

bool DataFolder::WaitForWork(absl::Duration at_most) {
  absl::MutexLock lock(&mutex_);
  const auto ready = [this] { return has_work_ || stopping_; };
  mutex_.AwaitWithTimeout(absl::Condition(&ready), at_most);
  has_work_ = false;
  return !stopping_;
}

void DataFolder::Maintain() {
  const collection::DiskReserve disk;
  while (WaitForWork(kMaintainEvery)) {
    const uint64_t free_bytes = disk.FreeBytes(folder_);
    ballast_.Fill(free_bytes - std::min(free_bytes, options_.disk_reserve_bytes));
    for (const auto& live : LiveOnes()) {
      const absl::Status done = live->Maintain();
      // One that was deleted meanwhile is closed.
      if (!done.ok() && !absl::IsFailedPrecondition(done)) {
        spdlog::error("maintenance: {}", done.ToString());
      }
    }
  }
}

void DataFolder::SyncLate() {
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), kSyncEvery)) return;
    }
    for (const auto& live : LiveOnes()) {
      if (!live->needs_sync()) continue;
      const absl::Status synced = live->Sync();
      if (!synced.ok()) spdlog::error("sync: {}", synced.ToString());
    }
  }
}

}  // namespace mrl::server
