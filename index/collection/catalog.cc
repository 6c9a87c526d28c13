#include "index/collection/catalog.h"

#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/collection/rocks.h"
#include "index/format/section_file.h"

namespace mrl::collection {
namespace {

constexpr size_t kNameBytesMax = 63;
constexpr char kCollectionPrefix[] = "c/";
constexpr char kAliasPrefix[] = "a/";
constexpr char kRecordPrefix[] = "r/";

bool IsNameByte(char byte, bool first) {
  const bool is_plain = absl::ascii_islower(byte) || absl::ascii_isdigit(byte);
  return is_plain || (!first && (byte == '_' || byte == '-'));
}

absl::Status Taken(const std::string& name, absl::string_view by) {
  return absl::AlreadyExistsError(absl::StrCat("the name '", name, "' is taken by ", by));
}

}  // namespace

absl::Status CheckName(absl::string_view name) {
  bool is_good = !name.empty() && name.size() <= kNameBytesMax;
  for (size_t i = 0; is_good && i < name.size(); ++i) is_good = IsNameByte(name[i], i == 0);
  if (is_good) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "the name '", name.substr(0, kNameBytesMax), "' has ", name.size(), " bytes; 1 to ",
      kNameBytesMax, " of a-z, 0-9, _ and - are needed, the first a letter or digit"));
}

// Keys and values of the catalog.
class Catalog::Store {
 public:
  static absl::StatusOr<std::unique_ptr<Store>> Open(const std::string& path) {
    rocksdb::Options options = DatabaseOptions();
    options.create_if_missing = true;
    rocksdb::DB* db = nullptr;
    const rocksdb::Status opened = rocksdb::DB::Open(options, path, &db);
    if (IsLockHeld(opened)) {
      return absl::FailedPreconditionError(
          absl::StrCat(ParentPath(path), " is in use by another server"));
    }
    MRL_RETURN_IF_ERROR(FromRocks(opened, path));
    return std::make_unique<Store>(db);
  }
  explicit Store(rocksdb::DB* db) : db_(db) {}

  // What each prefix stands for is added to its map, without the prefix.
  absl::Status Read(const std::map<std::string, std::map<std::string, std::string>*>& maps) {
    const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(rocksdb::ReadOptions()));
    for (at->SeekToFirst(); at->Valid(); at->Next()) {
      const std::string key = at->key().ToString();
      const auto into = maps.find(key.substr(0, 2));
      if (into == maps.end()) {
        return absl::DataLossError(absl::StrCat("catalog: unknown key '", key, "'"));
      }
      (*into->second)[key.substr(2)] = at->value().ToString();
    }
    return FromDamaged(at->status(), "catalog");
  }
  absl::Status Commit(rocksdb::WriteBatch& batch) {
    rocksdb::WriteOptions options;
    options.sync = true;
    return FromRocks(db_->Write(options, &batch), "catalog");
  }

 private:
  const std::unique_ptr<rocksdb::DB> db_;
};

Catalog::Catalog(FileSystem& files, std::string folder)
    : files_(files), folder_(std::move(folder)) {}
Catalog::~Catalog() = default;

std::string Catalog::NewUuid() { return format::NewUuid(); }

std::string Catalog::FolderOf(const std::string& uuid) const {
  return JoinPath(JoinPath(folder_, "collections"), uuid);
}

absl::StatusOr<std::unique_ptr<Catalog>> Catalog::Open(FileSystem& files,
                                                       const std::string& folder) {
  std::unique_ptr<Catalog> catalog(new Catalog(files, folder));
  MRL_RETURN_IF_ERROR(catalog->Load());
  return catalog;
}

absl::Status Catalog::Load() {
  for (const std::string& path : {folder_, JoinPath(folder_, "collections")}) {
    if (files_.Exists(path)) continue;
    MRL_RETURN_IF_ERROR(files_.CreateDirectory(path));
    MRL_RETURN_IF_ERROR(files_.SyncDirectory(ParentPath(path)));
  }
  const std::string path = JoinPath(folder_, "catalog");
  const bool is_new = !files_.Exists(JoinPath(path, "CURRENT"));
  if (is_new) {
    MRL_ASSIGN_OR_RETURN(const auto names, files_.List(JoinPath(folder_, "collections")));
    if (!names.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat(folder_, " has collections and no catalog; nothing is changed"));
    }
  }
  MRL_ASSIGN_OR_RETURN(store_, Store::Open(path));
  MRL_RETURN_IF_ERROR(files_.SyncDirectory(folder_));
  {
    absl::MutexLock lock(&mutex_);
    MRL_RETURN_IF_ERROR(store_->Read({{kCollectionPrefix, &collections_},
                                      {kAliasPrefix, &aliases_},
                                      {kRecordPrefix, &records_}}));
  }
  return RemoveNamelessFolders();
}

absl::Status Catalog::RemoveNamelessFolders() {
  std::set<std::string> named;
  for (const auto& [name, uuid] : collections()) named.insert(uuid);
  MRL_ASSIGN_OR_RETURN(const auto names, files_.List(JoinPath(folder_, "collections")));
  for (const std::string& name : names) {
    if (named.count(name) > 0) continue;
    MRL_RETURN_IF_ERROR(files_.RemoveTree(FolderOf(name)));
    removed_folders_.push_back(name);
  }
  return absl::OkStatus();
}

std::map<std::string, std::string> Catalog::collections() const {
  absl::MutexLock lock(&mutex_);
  return collections_;
}

std::map<std::string, std::string> Catalog::aliases() const {
  absl::MutexLock lock(&mutex_);
  return aliases_;
}

absl::Status Catalog::Add(const std::string& name, const std::string& uuid) {
  MRL_RETURN_IF_ERROR(CheckName(name));
  absl::MutexLock lock(&mutex_);
  if (collections_.count(name) > 0) return Taken(name, "a collection");
  if (aliases_.count(name) > 0) return Taken(name, "an alias");
  rocksdb::WriteBatch batch;
  MRL_RETURN_IF_ERROR(FromRocks(batch.Put(absl::StrCat(kCollectionPrefix, name), uuid), "catalog"));
  MRL_RETURN_IF_ERROR(store_->Commit(batch));
  collections_[name] = uuid;
  return absl::OkStatus();
}

absl::Status Catalog::Remove(const std::string& name) {
  absl::MutexLock lock(&mutex_);
  if (collections_.count(name) == 0) {
    return absl::NotFoundError(absl::StrCat("collection '", name, "' does not exist"));
  }
  rocksdb::WriteBatch batch;
  std::map<std::string, std::string> aliases = aliases_;
  for (const auto& [alias, target] : aliases_) {
    if (target != name) continue;
    MRL_RETURN_IF_ERROR(FromRocks(batch.Delete(absl::StrCat(kAliasPrefix, alias)), "catalog"));
    aliases.erase(alias);
  }
  MRL_RETURN_IF_ERROR(FromRocks(batch.Delete(absl::StrCat(kCollectionPrefix, name)), "catalog"));
  MRL_RETURN_IF_ERROR(store_->Commit(batch));
  collections_.erase(name);
  aliases_ = std::move(aliases);
  return absl::OkStatus();
}

absl::Status Catalog::ChangeAliases(const std::vector<AliasChange>& changes) {
  absl::MutexLock lock(&mutex_);
  rocksdb::WriteBatch batch;
  std::map<std::string, std::string> aliases = aliases_;
  for (const AliasChange& change : changes) {
    MRL_RETURN_IF_ERROR(CheckName(change.alias));
    const std::string key = absl::StrCat(kAliasPrefix, change.alias);
    if (change.collection.empty()) {
      if (aliases.erase(change.alias) == 0) {
        return absl::NotFoundError(absl::StrCat("alias '", change.alias, "' does not exist"));
      }
      MRL_RETURN_IF_ERROR(FromRocks(batch.Delete(key), "catalog"));
      continue;
    }
    if (collections_.count(change.alias) > 0) return Taken(change.alias, "a collection");
    if (collections_.count(change.collection) == 0) {
      return absl::NotFoundError(
          absl::StrCat("collection '", change.collection, "' does not exist"));
    }
    aliases[change.alias] = change.collection;
    MRL_RETURN_IF_ERROR(FromRocks(batch.Put(key, change.collection), "catalog"));
  }
  MRL_RETURN_IF_ERROR(store_->Commit(batch));
  aliases_ = std::move(aliases);
  return absl::OkStatus();
}

std::map<std::string, std::string> Catalog::records() const {
  absl::MutexLock lock(&mutex_);
  return records_;
}

absl::Status Catalog::PutRecord(const std::string& key, const std::string& bytes) {
  absl::MutexLock lock(&mutex_);
  rocksdb::WriteBatch batch;
  MRL_RETURN_IF_ERROR(FromRocks(batch.Put(absl::StrCat(kRecordPrefix, key), bytes), "catalog"));
  MRL_RETURN_IF_ERROR(store_->Commit(batch));
  records_[key] = bytes;
  return absl::OkStatus();
}

absl::Status Catalog::RemoveRecord(const std::string& key) {
  absl::MutexLock lock(&mutex_);
  rocksdb::WriteBatch batch;
  MRL_RETURN_IF_ERROR(FromRocks(batch.Delete(absl::StrCat(kRecordPrefix, key)), "catalog"));
  MRL_RETURN_IF_ERROR(store_->Commit(batch));
  records_.erase(key);
  return absl::OkStatus();
}

}  // namespace mrl::collection
