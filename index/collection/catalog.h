// What a server's data folder holds: names, aliases, and the folder of each collection.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/file.h"

namespace mrl::collection {

// INVALID_ARGUMENT unless `name` is 1 to 63 of a-z, 0-9, _ and -, and begins with a letter or
// digit.
absl::Status CheckName(absl::string_view name);

// DATA/catalog is a RocksDB whose lock makes one process the owner of the folder; a collection lies
// in DATA/collections/UUID. A collection is made folder first and named then; it is unnamed first
// and its folder removed then: a folder without a name is what a crash left. Thread-safe.
class Catalog {
 public:
  struct AliasChange {
    std::string alias;
    std::string collection;  // "" removes the alias
  };

  // Makes what is missing. Removes folders without a name. FAILED_PRECONDITION while another
  // process has the folder, or when the catalog is gone and collections are not.
  static absl::StatusOr<std::unique_ptr<Catalog>> Open(FileSystem& files,
                                                       const std::string& folder);
  ~Catalog();

  // Folders that Open removed.
  const std::vector<std::string>& removed_folders() const { return removed_folders_; }
  // Name -> uuid, and alias -> name.
  std::map<std::string, std::string> collections() const;
  std::map<std::string, std::string> aliases() const;
  // For a collection that is about to be made.
  static std::string NewUuid();
  // The folder of a uuid.
  std::string FolderOf(const std::string& uuid) const;

  // Durable when they return. ALREADY_EXISTS when a collection or an alias has the name.
  absl::Status Add(const std::string& name, const std::string& uuid);
  // With the aliases of the name. NOT_FOUND.
  absl::Status Remove(const std::string& name);
  // All or none. NOT_FOUND for a collection or an alias that is not there; ALREADY_EXISTS for an
  // alias that is a collection's name.
  absl::Status ChangeAliases(const std::vector<AliasChange>& changes);

  // What the server keeps about itself beside the collections; keys of 1 to 128 bytes.
  std::map<std::string, std::string> records() const;
  absl::Status PutRecord(const std::string& key, const std::string& bytes);
  // OK where there is none.
  absl::Status RemoveRecord(const std::string& key);

 private:
  class Store;
  Catalog(FileSystem& files, std::string folder);
  absl::Status Load();
  absl::Status RemoveNamelessFolders();

  FileSystem& files_;
  const std::string folder_;
  std::vector<std::string> removed_folders_;
  std::unique_ptr<Store> store_;
  mutable absl::Mutex mutex_;
  std::map<std::string, std::string> collections_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> aliases_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> records_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mrl::collection
