#include "index/collection/table_check.h"

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_checksum.h>
#include <rocksdb/file_system.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status.h"
#include "index/collection/closed_record.h"
#include "index/collection/rocks.h"
#include "index/collection/rocks_status.h"

namespace mrl::collection {
namespace {

constexpr size_t kReadBytes = 1 << 20;

// All of a database but its tables.
class WithoutTables final : public rocksdb::FileSystemWrapper {
 public:
  WithoutTables() : rocksdb::FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "WithoutTables"; }
  rocksdb::IOStatus NewRandomAccessFile(const std::string& name,
                                        const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                        rocksdb::IODebugContext* context) override {
    if (absl::EndsWith(name, ".sst")) return rocksdb::IOStatus::PathNotFound(name, "not yet");
    return target()->NewRandomAccessFile(name, options, file, context);
  }
};

// What the database's manifest says of its tables.
absl::StatusOr<std::vector<rocksdb::LiveFileMetaData>> ListTables(const std::string& path) {
  const std::unique_ptr<rocksdb::Env> env =
      rocksdb::NewCompositeEnv(std::make_shared<WithoutTables>());
  // As the database itself is opened: a manifest that tracks logs asserts that its reader does.
  rocksdb::Options options = DatabaseOptions(env.get());
  options.paranoid_checks = false;  // a table that does not open is no error
  options.skip_stats_update_on_db_open = true;
  std::vector<std::string> names;
  MRL_RETURN_IF_ERROR(FromDamaged(rocksdb::DB::ListColumnFamilies(options, path, &names), path));
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  families.reserve(names.size());
  for (const std::string& name : names) families.emplace_back(name, options);
  rocksdb::DB* opened = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  MRL_RETURN_IF_ERROR(
      FromDamaged(rocksdb::DB::OpenForReadOnly(options, path, families, &handles, &opened), path));
  const std::unique_ptr<rocksdb::DB> db(opened);
  std::vector<rocksdb::LiveFileMetaData> tables;
  db->GetLiveFilesMetaData(&tables);
  for (rocksdb::ColumnFamilyHandle* handle : handles) db->DestroyColumnFamilyHandle(handle);
  return tables;
}

absl::Status CheckTable(const std::string& path, const rocksdb::LiveFileMetaData& table) {
  const auto damaged = [&](absl::string_view what) {
    return absl::DataLossError(absl::StrCat(path, ": ", what));
  };
  const auto factory = rocksdb::GetFileChecksumGenCrc32cFactory();
  const auto checksum = factory->CreateFileChecksumGenerator({path, ""});
  if (table.file_checksum_func_name != checksum->Name()) {
    return damaged("the database has no checksum for it");
  }
  const auto file = FileSystem::Posix().Open(path);
  if (absl::IsNotFound(file.status())) return damaged("the file is missing");
  MRL_RETURN_IF_ERROR(file.status());
  if ((*file)->size() != table.size) {
    return damaged(
        absl::StrCat("the file has ", (*file)->size(), " bytes; ", table.size, " are needed"));
  }
  std::vector<std::byte> buffer;
  for (uint64_t at = 0; at < table.size; at += buffer.size()) {
    buffer.resize(std::min<uint64_t>(kReadBytes, table.size - at));
    MRL_RETURN_IF_ERROR((*file)->ReadAt(at, absl::MakeSpan(buffer)));
    checksum->Update(reinterpret_cast<const char*>(buffer.data()), buffer.size());
  }
  checksum->Finalize();
  if (checksum->GetChecksum() == table.file_checksum) return absl::OkStatus();
  return damaged("the checksum does not match");
}

}  // namespace

absl::Status CheckTables(const std::string& path) {
  MRL_RETURN_IF_ERROR(CheckClosedRecord(path));
  MRL_ASSIGN_OR_RETURN(const std::vector<rocksdb::LiveFileMetaData> tables, ListTables(path));
  for (const rocksdb::LiveFileMetaData& table : tables) {
    MRL_RETURN_IF_ERROR(CheckTable(absl::StrCat(path, table.name), table));
  }
  return absl::OkStatus();
}

}  // namespace mrl::collection
