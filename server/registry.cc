#include "server/registry.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "index/collection/check_pages.h"

namespace mrl::server {
namespace {

// A collection that never opened: its damage is DATA_LOSS; what an operator can mend (a missing
// directory, too little memory) is FAILED_PRECONDITION, so that NOT_FOUND means the name only.
absl::Status NotServed(const Registry::Entry& entry) {
  const std::string message = absl::StrCat(
      "collection '", entry.path.name, "' is not served: ", std::string(entry.last_open.message()));
  return absl::IsDataLoss(entry.last_open) ? absl::DataLossError(message)
                                           : absl::FailedPreconditionError(message);
}

Registry::Entry Unopened(const IndexPath& path) {
  return {.path = path,
          .collection = nullptr,
          .last_open = absl::FailedPreconditionError("it is not opened yet")};
}

// What a collection of the data folder has now.
Registry::Entry FromData(const DataFolder::Entry& entry) {
  Registry::Entry out;
  out.path.name = entry.name;
  out.last_open = entry.opened;
  out.live = entry.live;
  out.read_only = false;
  out.idle = entry.idle;
  if (entry.live != nullptr) out.collection = entry.live->Read();
  return out;
}

}  // namespace

Registry::Registry(FileSystem& files, MemoryAccount& account, const std::vector<IndexPath>& paths)
    : files_(files), account_(account) {
  for (const IndexPath& path : paths) entries_[path.name] = Unopened(path);
}

void Registry::SetObserver(Observer observer) {
  absl::MutexLock lock(&mutex_);
  observer_ = std::move(observer);
}

absl::Status Registry::OpenDataFolder(const std::string& folder, DataFolder::Options options) {
  options.open = open_options_;
  MRL_ASSIGN_OR_RETURN(data_, DataFolder::Open(files_, account_, folder, options));
  absl::MutexLock lock(&mutex_);
  for (const auto& [name, entry] : entries_) {
    if (data_->Get(data_->Resolve(name)).ok()) {
      return absl::AlreadyExistsError(
          absl::StrCat("index '", name, "' has the name of a collection or an alias in ", folder));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Registry::Entry> Registry::Get(const std::string& name) const {
  {
    absl::MutexLock lock(&mutex_);
    if (auto found = entries_.find(name); found != entries_.end()) return found->second;
  }
  if (data_ == nullptr) return NotFound(name);
  const auto used = data_->Use(data_->Resolve(name));
  if (!used.ok()) return NotFound(name);
  if (used->live == nullptr) Report(used->name, false);
  return FromData(*used);
}

absl::StatusOr<Registry::Entry> Registry::Peek(const std::string& name) const {
  {
    absl::MutexLock lock(&mutex_);
    if (auto found = entries_.find(name); found != entries_.end()) return found->second;
  }
  if (data_ != nullptr) {
    const auto entry = data_->Get(data_->Resolve(name));
    if (entry.ok()) return FromData(*entry);
  }
  return NotFound(name);
}

absl::Status Registry::NotFound(const std::string& name) const {
  constexpr size_t kNamed = 100;
  std::vector<std::string> served;
  for (const Entry& entry : List()) served.push_back(absl::StrCat("'", entry.path.name, "'"));
  std::string message = absl::StrCat("collection '", name, "' does not exist; ");
  if (served.empty()) return absl::NotFoundError(message + "no collection is served");
  const size_t more = served.size() - std::min(served.size(), kNamed);
  served.resize(served.size() - more);
  absl::StrAppend(&message, "served: ", absl::StrJoin(served, ", "));
  if (more > 0) absl::StrAppend(&message, " and ", more, " more");
  return absl::NotFoundError(message);
}

absl::StatusOr<std::shared_ptr<const collection::Collection>> Registry::Find(
    const std::string& name) const {
  {
    absl::MutexLock lock(&mutex_);
    const auto found = entries_.find(name);
    if (found != entries_.end() && found->second.collection != nullptr) {
      return found->second.collection;
    }
  }
  MRL_ASSIGN_OR_RETURN(Entry entry, Get(name));
  if (entry.collection == nullptr) return NotServed(entry);
  return std::move(entry.collection);
}

absl::StatusOr<std::shared_ptr<collection::LiveCollection>> Registry::FindLive(
    const std::string& name) const {
  MRL_ASSIGN_OR_RETURN(Entry entry, Get(name));
  if (entry.collection == nullptr) return NotServed(entry);
  if (entry.read_only) {
    return absl::FailedPreconditionError(
        absl::StrCat("collection '", name, "' is served with --index and takes no writes"));
  }
  return std::move(entry.live);
}

std::vector<Registry::Entry> Registry::List() const {
  std::map<std::string, Entry> all;
  {
    absl::MutexLock lock(&mutex_);
    all = entries_;
  }
  if (data_ != nullptr) {
    for (const DataFolder::Entry& entry : data_->List()) all[entry.name] = FromData(entry);
  }
  std::vector<Entry> entries;
  entries.reserve(all.size());
  for (auto& [name, entry] : all) entries.push_back(std::move(entry));
  return entries;
}

bool Registry::Usable() const {
  bool none = true;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [name, entry] : entries_) {
      if (entry.collection != nullptr) return true;
    }
    none = entries_.empty();
  }
  return data_ == nullptr ? none : data_->ServesAny() || (none && data_->empty());
}

absl::Status Registry::NeedDataFolder() const {
  if (data_ != nullptr) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "this server has no data folder; it is started with --data-dir");
}

absl::Status Registry::CheckFree(const std::string& name) const {
  if (!Peek(name).ok()) return absl::OkStatus();
  return absl::AlreadyExistsError(
      absl::StrCat("the name '", name, "' is taken by a collection or an alias"));
}

absl::Status Registry::Create(const std::string& name, const Schema& schema, bool validate_only) {
  MRL_RETURN_IF_ERROR(NeedDataFolder());
  MRL_RETURN_IF_ERROR(collection::CheckName(name));
  MRL_RETURN_IF_ERROR(schema.Validate());
  MRL_RETURN_IF_ERROR(CheckFree(name));
  if (validate_only) return absl::OkStatus();
  MRL_RETURN_IF_ERROR(data_->Create(name, schema));
  Report(name, true);
  return absl::OkStatus();
}

absl::Status Registry::Restore(const std::string& name, const std::string& snapshot_path,
                               const std::string& uuid, const collection::Watch& watch) {
  MRL_RETURN_IF_ERROR(NeedDataFolder());
  MRL_RETURN_IF_ERROR(data_->Restore(name, snapshot_path, uuid, watch));
  Report(name, true);
  return absl::OkStatus();
}

absl::StatusOr<SnapshotFolder*> Registry::snapshots() const {
  MRL_RETURN_IF_ERROR(NeedDataFolder());
  return &data_->snapshots();
}

absl::Status Registry::Delete(const std::string& name) {
  MRL_ASSIGN_OR_RETURN(const Entry entry, Peek(name));
  if (entry.path.name != name) {
    return absl::FailedPreconditionError(
        absl::StrCat("'", name, "' is an alias of '", entry.path.name,
                     "'; a collection is deleted by its own name"));
  }
  if (entry.read_only) {
    return absl::FailedPreconditionError(
        absl::StrCat("collection '", name, "' is served with --index and is not deleted"));
  }
  MRL_RETURN_IF_ERROR(data_->Delete(name));
  Report(name, false);
  return absl::OkStatus();
}

absl::Status Registry::ChangeAliases(const std::vector<collection::Catalog::AliasChange>& changes) {
  MRL_RETURN_IF_ERROR(NeedDataFolder());
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& change : changes) {
      if (entries_.count(change.alias) == 0) continue;
      return absl::AlreadyExistsError(
          absl::StrCat("the name '", change.alias, "' is taken by an index"));
    }
  }
  return data_->ChangeAliases(changes);
}

std::map<std::string, std::string> Registry::aliases() const {
  return data_ == nullptr ? std::map<std::string, std::string>() : data_->aliases();
}

absl::Status Registry::Reload(const std::string& name) {
  absl::MutexLock reload_lock(&reload_mutex_);
  MRL_ASSIGN_OR_RETURN(Entry entry, Peek(name));
  if (!entry.read_only) {
    absl::Status opened = data_->Reopen(entry.path.name);
    Report(entry.path.name, opened.ok());
    return opened;
  }
  // What replaces a version that serves is read through first, payloads too; a start does not wait
  // for that.
  const auto open = [&]() -> absl::StatusOr<std::shared_ptr<const collection::Collection>> {
    if (entry.collection != nullptr) {
      MRL_RETURN_IF_ERROR(collection::CheckPages(files_, entry.path.directory));
    }
    auto fresh =
        collection::Collection::Open(files_, entry.path.directory, account_, open_options_);
    if (fresh.ok() && prepare_) prepare_(name, **fresh);
    return fresh;
  };
  auto opened = open();
  entry.last_open = opened.status();
  if (opened.ok()) entry.collection = *std::move(opened);
  const bool serving = entry.collection != nullptr;
  {
    absl::MutexLock lock(&mutex_);
    // The old version leaves with `entry`, outside the lock: freeing it takes long.
    std::swap(entries_[name], entry);
  }
  Report(name, serving);
  MRL_ASSIGN_OR_RETURN(const Entry now, Peek(name));
  if (now.last_open.ok()) {
    spdlog::info("collection '{}': generation {}, {} rows from {}", name,
                 now.collection->generation(), now.collection->rows(), now.path.directory);
    return absl::OkStatus();
  }
  spdlog::error("collection '{}': {}; {}", name, now.last_open.ToString(),
                serving ? "the version before goes on being served" : "it is not served");
  if (!serving) return NotServed(now);
  const std::string message =
      absl::StrCat("collection '", name, "' was not reloaded and its version before is served: ",
                   std::string(now.last_open.message()));
  return absl::IsDataLoss(now.last_open) ? absl::DataLossError(message)
                                         : absl::FailedPreconditionError(message);
}

void Registry::ReloadAll(const std::function<bool()>& stopped) {
  for (const Entry& entry : List()) {
    if (stopped()) return;
    Reload(entry.path.name).IgnoreError();  // logged, and kept in the entry
  }
}

void Registry::SetIndexes(const std::vector<IndexPath>& paths) {
  absl::MutexLock reload_lock(&reload_mutex_);
  std::map<std::string, Entry> fresh;
  for (const IndexPath& path : paths) {
    if (data_ != nullptr && data_->Get(data_->Resolve(path.name)).ok()) {
      spdlog::error(
          "index '{}' is left out: a collection or an alias of the data folder has its name",
          path.name);
      continue;
    }
    fresh[path.name] = Unopened(path);
  }
  std::vector<std::string> gone;
  std::map<std::string, Entry> old;  // freed outside of the lock
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [name, entry] : entries_) {
      const auto kept = fresh.find(name);
      if (kept == fresh.end()) {
        gone.push_back(name);
        continue;
      }
      // What is served stays so until its new directory has opened.
      const IndexPath path = kept->second.path;
      kept->second = entry;
      kept->second.path = path;
    }
    old.swap(entries_);
    entries_.swap(fresh);
  }
  for (const std::string& name : gone) {
    spdlog::info("collection '{}': no longer served", name);
    Report(name, false);
  }
}

void Registry::Report(const std::string& name, bool serving) const {
  Observer observer;
  {
    absl::MutexLock lock(&mutex_);
    observer = observer_;
  }
  if (observer) observer(name, serving);
}

}  // namespace mrl::server
