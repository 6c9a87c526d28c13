#include "server/registry.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"

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

}  // namespace

Registry::Registry(FileSystem& files, MemoryAccount& account, const std::vector<IndexPath>& paths)
    : files_(files), account_(account) {
  for (const IndexPath& path : paths) {
    entries_[path.name] = {path, nullptr, absl::FailedPreconditionError("it is not opened yet")};
  }
}

void Registry::SetObserver(Observer observer) {
  absl::MutexLock lock(&mutex_);
  observer_ = std::move(observer);
}

absl::StatusOr<Registry::Entry> Registry::Get(const std::string& name) const {
  absl::MutexLock lock(&mutex_);
  if (auto found = entries_.find(name); found != entries_.end()) return found->second;
  const auto append_name = [](std::string* out, const auto& entry) {
    absl::StrAppend(out, "'", entry.first, "'");
  };
  return absl::NotFoundError(absl::StrCat(
      "collection '", name, "' does not exist; ",
      entries_.empty() ? "no collection is served"
                       : absl::StrCat("served: ", absl::StrJoin(entries_, ", ", append_name))));
}

absl::StatusOr<std::shared_ptr<const collection::Collection>> Registry::Find(
    const std::string& name) const {
  MRL_ASSIGN_OR_RETURN(Entry entry, Get(name));
  if (entry.collection == nullptr) return NotServed(entry);
  return std::move(entry.collection);
}

std::vector<Registry::Entry> Registry::List() const {
  absl::MutexLock lock(&mutex_);
  std::vector<Entry> entries;
  entries.reserve(entries_.size());
  for (const auto& [name, entry] : entries_) entries.push_back(entry);
  return entries;
}

absl::Status Registry::Reload(const std::string& name) {
  absl::MutexLock reload_lock(&reload_mutex_);
  MRL_ASSIGN_OR_RETURN(Entry entry, Get(name));
  auto opened = collection::Collection::Open(files_, entry.path.directory, account_);
  entry.last_open = opened.status();
  if (opened.ok()) entry.collection = *std::move(opened);
  const bool serving = entry.collection != nullptr;
  {
    absl::MutexLock lock(&mutex_);
    // The old version leaves with `entry`, outside the lock: freeing it takes long.
    std::swap(entries_[name], entry);
  }
  Report(name, serving);
  MRL_ASSIGN_OR_RETURN(const Entry now, Get(name));
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

void Registry::ReloadAll() {
  for (const Entry& entry : List()) {
    Reload(entry.path.name).IgnoreError();  // logged, and kept in the entry
  }
}

void Registry::Report(const std::string& name, bool serving) {
  Observer observer;
  {
    absl::MutexLock lock(&mutex_);
    observer = observer_;
  }
  if (observer) observer(name, serving);
}

}  // namespace mrl::server
