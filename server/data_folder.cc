#include "server/data_folder.h"

#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "index/coarse/gpu/device_set.h"
#include "server/low_priority.h"

namespace mrl::server {
namespace {

constexpr absl::Duration kMaintainEvery = absl::Seconds(5);
constexpr uint64_t kBallastShare = 4;  // of the reserve
constexpr absl::Duration kSyncEvery = absl::Milliseconds(500);
// What an open collection takes: RocksDB's files, and a few segments with side files.
constexpr size_t kDescriptorsOfOne = 24;
constexpr size_t kDescriptorsOfRest = 256;  // connections, logs, --index

// No more than the descriptors suffice for; the process is given all that it may have.
size_t OpenMax(size_t wanted) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur == RLIM_INFINITY) return wanted;
  const size_t spare = std::max<size_t>(limit.rlim_cur, kDescriptorsOfRest) - kDescriptorsOfRest;
  const size_t most = std::max<size_t>(1, spare / kDescriptorsOfOne);
  if (most < wanted) {
    spdlog::warn("{} descriptors are allowed: {} collections are kept open, not {}", limit.rlim_cur,
                 most, wanted);
  }
  return std::min(wanted, most);
}

}  // namespace

DataFolder::DataFolder(FileSystem& files, MemoryAccount& account, const std::string& folder,
                       const Options& options, std::unique_ptr<collection::Catalog> catalog)
    : files_(files),
      account_(account),
      folder_(folder),
      options_(options),
      ballast_(files, JoinPath(folder, "ballast"), options.disk_reserve_bytes / kBallastShare),
      catalog_(std::move(catalog)),
      open_max_(OpenMax(options.open_max)) {}

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
  const std::map<std::string, std::string> named = data->catalog_->collections();
  for (const auto& [name, uuid] : named) {
    if (options.stopped && options.stopped()) {
      return absl::CancelledError(
          absl::StrCat(folder, ": stopped before every collection was open"));
    }
    auto slot = std::make_shared<Slot>(name, uuid);
    if (named.size() <= data->open_max_) data->OpenSlot(*slot, /*again=*/false);
    absl::MutexLock lock(&data->mutex_);
    data->slots_[name] = std::move(slot);
  }
  if (named.size() > data->open_max_) {
    spdlog::info("{}: {} collections are opened when they are used, and {} kept open", folder,
                 named.size(), data->open_max_);
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

absl::StatusOr<std::shared_ptr<collection::LiveCollection>> DataFolder::OpenCollection(
    const Slot& slot) {
  collection::LiveOptions options;
  options.seal_rows = options_.seal_rows;
  options.disk.bytes = options_.disk_reserve_bytes;
  options.disk.on_full = [this] { ballast_.Release(); };
  options.open = options_.open;
  options.on_work = [this] {
    absl::MutexLock lock(&mutex_);
    has_work_ = true;
  };
  auto opened =
      collection::LiveCollection::Open(files_, catalog_->FolderOf(slot.uuid), account_, options);
  if (!opened.ok()) {
    spdlog::error("collection '{}': {}; it is not served", slot.name, opened.status().ToString());
    return opened.status();
  }
  std::shared_ptr<collection::LiveCollection> live = *std::move(opened);
  if (!live->removed_files().empty()) {
    spdlog::warn("collection '{}': removed files that no manifest names: {}", slot.name,
                 absl::StrJoin(live->removed_files(), ", "));
  }
  const auto version = live->Read();
  spdlog::info("collection '{}': generation {}, {} rows, sequence {}", slot.name,
               version->generation(), version->rows(), version->sequence());
  return live;
}

DataFolder::Entry DataFolder::OpenSlot(Slot& slot, bool again) {
  absl::MutexLock turn(&slot.turn);
  {
    absl::MutexLock lock(&mutex_);
    const bool wanted = slot.live == nullptr && (slot.idle || again) && !slot.gone;
    if (!wanted) return EntryOf(slot);
  }
  auto opened = OpenCollection(slot);
  absl::MutexLock lock(&mutex_);
  slot.idle = false;
  slot.opened = opened.status();
  if (opened.ok()) slot.live = *std::move(opened);
  return EntryOf(slot);
}

DataFolder::Entry DataFolder::EntryOf(const Slot& slot) {
  return {.name = slot.name, .live = slot.live, .opened = slot.opened, .idle = slot.idle};
}

std::shared_ptr<DataFolder::Slot> DataFolder::Find(const std::string& name) const {
  absl::MutexLock lock(&mutex_);
  const auto found = slots_.find(name);
  return found == slots_.end() ? nullptr : found->second;
}

absl::StatusOr<DataFolder::Entry> DataFolder::Get(const std::string& name) const {
  absl::MutexLock lock(&mutex_);
  if (const auto found = slots_.find(name); found != slots_.end()) return EntryOf(*found->second);
  return absl::NotFoundError(absl::StrCat("collection '", name, "' does not exist"));
}

absl::StatusOr<DataFolder::Entry> DataFolder::Use(const std::string& name) {
  std::shared_ptr<Slot> slot;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = slots_.find(name);
    if (found != slots_.end()) {
      slot = found->second;
      slot->used = ++uses_;
      if (!slot->idle) return EntryOf(*slot);
    }
  }
  if (slot == nullptr) {
    return absl::NotFoundError(absl::StrCat("collection '", name, "' does not exist"));
  }
  Entry entry = OpenSlot(*slot, /*again=*/false);
  CloseUnused();
  if (!entry.idle) return entry;
  return absl::NotFoundError(absl::StrCat("collection '", name, "' was deleted"));
}

bool DataFolder::CloseOne() {
  std::shared_ptr<Slot> oldest;
  {
    absl::MutexLock lock(&mutex_);
    size_t open = 0;
    for (const auto& [name, slot] : slots_) {
      if (slot->live == nullptr) continue;
      ++open;
      // Copies are given out under mutex_: nobody else has it.
      if (slot->live.use_count() > 1) continue;
      if (oldest == nullptr || slot->used < oldest->used) oldest = slot;
    }
    if (open <= open_max_ || oldest == nullptr) return false;
  }
  absl::MutexLock turn(&oldest->turn);  // who wants it meanwhile opens it afterwards
  std::shared_ptr<collection::LiveCollection> live;
  {
    absl::MutexLock lock(&mutex_);
    if (oldest->live == nullptr || oldest->live.use_count() > 1) return true;
    live = std::move(oldest->live);
    oldest->live = nullptr;
    oldest->idle = true;
  }
  const absl::Status closed = live->Close();
  if (!closed.ok()) spdlog::error("collection '{}': {}", oldest->name, closed.ToString());
  return true;
}

void DataFolder::CloseUnused() {
  while (CloseOne()) {
  }
}

std::vector<DataFolder::Entry> DataFolder::List() const {
  absl::MutexLock lock(&mutex_);
  std::vector<Entry> entries;
  for (const auto& [name, slot] : slots_) entries.push_back(EntryOf(*slot));
  return entries;
}

bool DataFolder::empty() const {
  absl::MutexLock lock(&mutex_);
  return slots_.empty();
}

bool DataFolder::ServesAny() const {
  absl::MutexLock lock(&mutex_);
  const auto served = [](const auto& named) {
    return named.second->live != nullptr || named.second->idle;
  };
  return std::any_of(slots_.begin(), slots_.end(), served);
}

absl::Status DataFolder::Create(const std::string& name, const Schema& schema) {
  return Add(name, collection::Catalog::NewUuid(), [&](const std::string& path) {
    return collection::LiveCollection::Create(files_, path, schema);
  });
}

absl::Status DataFolder::Restore(const std::string& name, const std::string& snapshot_path,
                                 const std::string& uuid, const collection::Watch& watch) {
  if (const auto slot = Find(name); slot != nullptr && slot->uuid == uuid) return absl::OkStatus();
  return Add(name, uuid, [&](const std::string& path) {
    return collection::RestoreSnapshot(files_, snapshot_path, path, /*env=*/nullptr, watch);
  });
}

absl::Status DataFolder::TakeName(const std::string& name) {
  MRL_RETURN_IF_ERROR(collection::CheckName(name));
  absl::MutexLock change_lock(&change_mutex_);
  const bool is_alias = catalog_->aliases().count(name) > 0;
  absl::MutexLock lock(&mutex_);
  if (is_alias || slots_.count(name) > 0 || !being_made_.insert(name).second) {
    return absl::AlreadyExistsError(absl::StrCat("the name '", name, "' is taken"));
  }
  return absl::OkStatus();
}

absl::Status DataFolder::Add(const std::string& name, const std::string& uuid,
                             const std::function<absl::Status(const std::string&)>& make) {
  MRL_RETURN_IF_ERROR(TakeName(name));
  const auto give_back = absl::MakeCleanup([&] {
    absl::MutexLock lock(&mutex_);
    being_made_.erase(name);
  });
  MRL_RETURN_IF_ERROR(make(catalog_->FolderOf(uuid)));
  auto slot = std::make_shared<Slot>(name, uuid);
  {
    absl::MutexLock change_lock(&change_mutex_);
    absl::Status named = catalog_->Add(name, uuid);
    if (!named.ok()) {
      files_.RemoveTree(catalog_->FolderOf(uuid)).IgnoreError();
      return named;
    }
    absl::MutexLock lock(&mutex_);
    slot->used = ++uses_;
    slots_[name] = slot;
  }
  absl::Status opened = OpenSlot(*slot, /*again=*/false).opened;
  CloseUnused();
  return opened;
}

absl::Status DataFolder::Delete(const std::string& name) {
  absl::MutexLock change_lock(&change_mutex_);
  const std::shared_ptr<Slot> slot = Find(name);
  if (slot == nullptr) {
    return absl::NotFoundError(absl::StrCat("collection '", name, "' does not exist"));
  }
  MRL_RETURN_IF_ERROR(catalog_->Remove(name));
  std::shared_ptr<collection::LiveCollection> live;
  {
    absl::MutexLock turn(&slot->turn);
    absl::MutexLock lock(&mutex_);
    slots_.erase(name);
    slot->gone = true;
    live = std::move(slot->live);
    slot->live = nullptr;
  }
  // What goes wrong from here on leaves a folder without a name, which the next start removes.
  if (live != nullptr) live->Close().IgnoreError();
  const absl::Status removed = files_.RemoveTree(catalog_->FolderOf(slot->uuid));
  if (!removed.ok()) spdlog::warn("collection '{}': {}", name, removed.ToString());
  spdlog::info("collection '{}': deleted", name);
  return absl::OkStatus();
}

absl::Status DataFolder::Reopen(const std::string& name) {
  absl::MutexLock change_lock(&change_mutex_);
  const std::shared_ptr<Slot> slot = Find(name);
  if (slot == nullptr) {
    return absl::NotFoundError(absl::StrCat("collection '", name, "' does not exist"));
  }
  {
    absl::MutexLock lock(&mutex_);
    if (slot->idle) return absl::OkStatus();
  }
  return OpenSlot(*slot, /*again=*/true).opened;
}

std::string DataFolder::Resolve(const std::string& name) const {
  {
    absl::MutexLock lock(&mutex_);
    if (slots_.count(name) > 0) return name;  // most calls; no alias has a collection's name
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

std::vector<std::weak_ptr<collection::LiveCollection>> DataFolder::LiveOnes() const {
  absl::MutexLock lock(&mutex_);
  std::vector<std::weak_ptr<collection::LiveCollection>> ones;
  for (const auto& [name, slot] : slots_) {
    if (slot->live != nullptr) ones.push_back(slot->live);
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
  LowerPriority();
  const collection::DiskReserve disk;
  while (WaitForWork(kMaintainEvery)) {
    const uint64_t free_bytes = disk.FreeBytes(folder_);
    ballast_.Fill(free_bytes - std::min(free_bytes, options_.disk_reserve_bytes));
    for (const auto& one : LiveOnes()) {
      const auto live = one.lock();
      if (live == nullptr) continue;
      const absl::Status done = live->Maintain();
      // One that was deleted meanwhile is closed.
      if (!done.ok() && !absl::IsFailedPrecondition(done)) {
        spdlog::error("maintenance: {}", done.ToString());
      }
    }
    // Searches that began before a merge have let go of its inputs by now, or will have next time.
    if (options_.open.gpu != nullptr) options_.open.gpu->PlaceAgain();
  }
}

void DataFolder::SyncLate() {
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), kSyncEvery)) return;
    }
    for (const auto& one : LiveOnes()) {
      const auto live = one.lock();
      if (live == nullptr || !live->needs_sync()) continue;
      const absl::Status synced = live->Sync();
      if (!synced.ok()) spdlog::error("sync: {}", synced.ToString());
    }
  }
}

}  // namespace mrl::server
