#include "server/snapshot_folder.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/collection/catalog.h"

namespace mrl::server {
namespace {

constexpr char kTemporaryMark[] = ".tmp-";

std::string KeyOf(const std::string& collection, const std::string& name) {
  return absl::StrCat(collection, "/", name);
}

absl::Status CheckNames(const std::string& collection, const std::string& name) {
  MRL_RETURN_IF_ERROR(collection::CheckName(collection));
  return collection::CheckName(name);
}

// 0 when the system does not say.
uint64_t FreeBytes(const std::string& path) {
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(path, error);
  return error ? 0 : space.available;
}

absl::Status MakeFolder(FileSystem& files, const std::string& path) {
  if (files.Exists(path)) return absl::OkStatus();
  absl::Status made = files.CreateDirectory(path);
  if (!made.ok() && !absl::IsAlreadyExists(made)) return made;
  return files.SyncDirectory(ParentPath(path));
}

}  // namespace

SnapshotFolder::Upload::Upload(SnapshotFolder& folder, std::string key, std::string path,
                               uint64_t bytes_max)
    : folder_(folder), key_(std::move(key)), writer_(folder.files_, std::move(path), bytes_max) {}
SnapshotFolder::Upload::~Upload() { folder_.Release(key_); }

absl::StatusOr<std::unique_ptr<SnapshotFolder>> SnapshotFolder::Open(
    FileSystem& files, const std::string& data_folder) {
  const std::string root = JoinPath(data_folder, "snapshots");
  MRL_RETURN_IF_ERROR(MakeFolder(files, root));
  std::unique_ptr<SnapshotFolder> folder(new SnapshotFolder(files, root));
  MRL_RETURN_IF_ERROR(folder->Sweep());
  return folder;
}

absl::Status SnapshotFolder::Sweep() {
  MRL_ASSIGN_OR_RETURN(const auto collections, files_.List(root_));
  for (const std::string& collection : collections) {
    const std::string path = JoinPath(root_, collection);
    MRL_ASSIGN_OR_RETURN(const auto names, files_.List(path));
    for (const std::string& name : names) {
      if (!absl::StrContains(name, kTemporaryMark)) continue;
      MRL_RETURN_IF_ERROR(files_.RemoveTree(JoinPath(path, name)));
    }
  }
  return absl::OkStatus();
}

std::string SnapshotFolder::PathOf(const std::string& collection, const std::string& name) const {
  return JoinPath(JoinPath(root_, collection), name);
}

absl::Status SnapshotFolder::Take(const std::string& collection, const std::string& name) {
  MRL_RETURN_IF_ERROR(CheckNames(collection, name));
  absl::MutexLock lock(&mutex_);
  if (!busy_.insert(KeyOf(collection, name)).second) {
    return absl::AlreadyExistsError(absl::StrCat("snapshot '", name, "' of collection '",
                                                 collection, "' is being made or removed"));
  }
  return absl::OkStatus();
}

void SnapshotFolder::Release(const std::string& key) {
  absl::MutexLock lock(&mutex_);
  busy_.erase(key);
}

absl::StatusOr<SnapshotFolder::Entry> SnapshotFolder::Create(const std::string& collection,
                                                             const std::string& name,
                                                             collection::LiveCollection& live) {
  MRL_RETURN_IF_ERROR(Take(collection, name));
  const auto release = absl::MakeCleanup([&] { Release(KeyOf(collection, name)); });
  const std::string path = PathOf(collection, name);
  if (files_.Exists(path)) {
    return absl::AlreadyExistsError(
        absl::StrCat("collection '", collection, "' has a snapshot '", name, "'"));
  }
  MRL_RETURN_IF_ERROR(MakeFolder(files_, JoinPath(root_, collection)));
  Entry entry{.collection = collection, .name = name, .snapshot = {}};
  MRL_ASSIGN_OR_RETURN(entry.snapshot, live.MakeSnapshot(path));
  return entry;
}

absl::StatusOr<SnapshotFolder::Entry> SnapshotFolder::Get(const std::string& collection,
                                                          const std::string& name) const {
  MRL_RETURN_IF_ERROR(CheckNames(collection, name));
  Entry entry{.collection = collection, .name = name, .snapshot = {}};
  auto read = collection::ReadSnapshot(files_, PathOf(collection, name));
  if (absl::IsNotFound(read.status())) {
    return absl::NotFoundError(
        absl::StrCat("collection '", collection, "' has no snapshot '", name, "'"));
  }
  MRL_RETURN_IF_ERROR(read.status());
  entry.snapshot = *std::move(read);
  return entry;
}

absl::StatusOr<std::vector<SnapshotFolder::Entry>> SnapshotFolder::List(
    const std::string& collection) const {
  MRL_RETURN_IF_ERROR(collection::CheckName(collection));
  std::vector<Entry> entries;
  const std::string path = JoinPath(root_, collection);
  if (!files_.Exists(path)) return entries;
  MRL_ASSIGN_OR_RETURN(const auto names, files_.List(path));
  for (const std::string& name : names) {
    if (!collection::CheckName(name).ok()) continue;
    auto entry = Get(collection, name);
    if (entry.ok()) entries.push_back(*std::move(entry));
  }
  return entries;
}

absl::Status SnapshotFolder::Delete(const std::string& collection, const std::string& name) {
  MRL_RETURN_IF_ERROR(Take(collection, name));
  const auto release = absl::MakeCleanup([&] { Release(KeyOf(collection, name)); });
  const std::string path = PathOf(collection, name);
  if (!files_.Exists(path)) {
    return absl::NotFoundError(
        absl::StrCat("collection '", collection, "' has no snapshot '", name, "'"));
  }
  // In one step to its end: half a snapshot is none.
  const std::string gone = absl::StrCat(path, kTemporaryMark, "gone");
  MRL_RETURN_IF_ERROR(files_.RemoveTree(gone));
  MRL_RETURN_IF_ERROR(files_.Rename(path, gone));
  MRL_RETURN_IF_ERROR(files_.SyncDirectory(ParentPath(path)));
  return files_.RemoveTree(gone);
}

absl::StatusOr<std::unique_ptr<collection::ArchiveReader>> SnapshotFolder::Download(
    const std::string& collection, const std::string& name) const {
  MRL_RETURN_IF_ERROR(Get(collection, name).status());
  return collection::ArchiveReader::Open(files_, PathOf(collection, name));
}

absl::StatusOr<std::unique_ptr<SnapshotFolder::Upload>> SnapshotFolder::StartUpload(
    const std::string& collection, const std::string& name) {
  MRL_RETURN_IF_ERROR(Take(collection, name));
  const std::string path = PathOf(collection, name);
  const uint64_t free_bytes = FreeBytes(root_);
  std::unique_ptr<Upload> upload(
      new Upload(*this, KeyOf(collection, name), path, free_bytes - free_bytes / 10));
  if (files_.Exists(path)) {
    return absl::AlreadyExistsError(
        absl::StrCat("collection '", collection, "' has a snapshot '", name, "'"));
  }
  MRL_RETURN_IF_ERROR(MakeFolder(files_, JoinPath(root_, collection)));
  return upload;
}

}  // namespace mrl::server
