#include "index/collection/database.h"

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_checksum.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/sst_file_writer.h>

#include <algorithm>
#include <queue>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/collection/rocks_status.h"
#include "index/collection/table_check.h"

namespace mrl::collection {
namespace {

constexpr char kNumberTag = 1;
constexpr char kTextTag = 2;
constexpr char kManifestKey[] = "manifest";
constexpr char kIdsFamily[] = "ids";

rocksdb::Options DatabaseOptions() {
  rocksdb::Options options;
  options.info_log = std::make_shared<NoLog>();
  // A block's checksum leaves bytes between blocks unguarded; the file's guards them all.
  options.file_checksum_gen_factory = rocksdb::GetFileChecksumGenCrc32cFactory();
  options.db_host_id = "";  // a collection goes to other machines and need not tell of this one
  options.max_open_files = 64;
  options.max_background_jobs = 2;
  options.max_file_opening_threads = 1;  // the default of 16 costs address space and buys nothing
  options.write_buffer_size = 4 << 20;
  return options;
}

std::string EncodeSequence(uint64_t sequence) {
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(sequence >> (8 * i));
  return bytes;
}

absl::StatusOr<uint64_t> DecodeSequence(const rocksdb::Slice& bytes) {
  if (bytes.size() != 8) {
    return absl::DataLossError(
        absl::StrCat("id map: a sequence has ", bytes.size(), " bytes; 8 are needed"));
  }
  uint64_t sequence = 0;
  for (int i = 7; i >= 0; --i) sequence = sequence << 8 | static_cast<uint8_t>(bytes[i]);
  return sequence;
}

class TableWriter {
 public:
  explicit TableWriter(const std::string& path)
      : path_(path), writer_(rocksdb::EnvOptions(), DatabaseOptions()) {}
  absl::Status Open() { return FromRocks(writer_.Open(path_), "id map"); }
  absl::Status Put(const rocksdb::Slice& key, const rocksdb::Slice& value) {
    return FromRocks(writer_.Put(key, value), "id map");
  }
  absl::Status Finish() { return FromRocks(writer_.Finish(), "id map"); }

 private:
  const std::string path_;
  rocksdb::SstFileWriter writer_;
};

// One input of the merge, at its current entry.
struct TableCursor {
  std::unique_ptr<rocksdb::SstFileReader> reader;
  std::unique_ptr<rocksdb::Iterator> at;
};

absl::StatusOr<TableCursor> OpenTable(const std::string& path) {
  TableCursor cursor;
  cursor.reader = std::make_unique<rocksdb::SstFileReader>(DatabaseOptions());
  MRL_RETURN_IF_ERROR(FromRocks(cursor.reader->Open(path), "id map"));
  cursor.at.reset(cursor.reader->NewIterator(rocksdb::ReadOptions()));
  cursor.at->SeekToFirst();
  return cursor;
}

absl::Status RefuseDuplicate(const std::string& key) {
  MRL_ASSIGN_OR_RETURN(const PointId id, ParseIdKey(key));
  return absl::AlreadyExistsError(absl::StrCat("id '", id.ToString(), "' comes more than once"));
}

}  // namespace

std::string IdKey(const PointId& id) {
  if (!id.is_number()) return absl::StrCat(std::string(1, kTextTag), id.text());
  std::string key(9, kNumberTag);
  for (int i = 0; i < 8; ++i) key[1 + i] = static_cast<char>(id.number() >> (8 * (7 - i)));
  return key;
}

absl::StatusOr<PointId> ParseIdKey(absl::string_view key) {
  if (key.size() > 1 && key[0] == kTextTag) return PointId(std::string(key.substr(1)));
  if (key.size() != 9 || key[0] != kNumberTag) {
    return absl::DataLossError("id map: a key is neither a number nor a string");
  }
  uint64_t number = 0;
  for (const char byte : key.substr(1)) number = number << 8 | static_cast<uint8_t>(byte);
  return PointId(number);
}

absl::Status WriteIdTable(const std::string& path, store::IdColumn& ids, uint64_t first_sequence) {
  TableWriter writer(path);
  MRL_RETURN_IF_ERROR(writer.Open());
  for (const uint32_t row : ids.SortedRows()) {
    MRL_RETURN_IF_ERROR(writer.Put(IdKey(ids.At(row)), EncodeSequence(first_sequence + row)));
  }
  return writer.Finish();
}

absl::Status MergeIdTables(const std::vector<std::string>& inputs, const std::string& output) {
  std::vector<TableCursor> cursors;
  const auto later = [&](size_t a, size_t b) {
    return cursors[a].at->key().compare(cursors[b].at->key()) > 0;
  };
  std::priority_queue<size_t, std::vector<size_t>, decltype(later)> next(later);
  for (const std::string& input : inputs) {
    MRL_ASSIGN_OR_RETURN(TableCursor cursor, OpenTable(input));
    cursors.push_back(std::move(cursor));
  }
  for (size_t i = 0; i < cursors.size(); ++i) {
    if (cursors[i].at->Valid()) next.push(i);
  }
  TableWriter writer(output);
  MRL_RETURN_IF_ERROR(writer.Open());
  std::string previous;
  while (!next.empty()) {
    const size_t i = next.top();
    next.pop();
    rocksdb::Iterator& at = *cursors[i].at;
    if (at.key() == previous) return RefuseDuplicate(previous);
    MRL_RETURN_IF_ERROR(writer.Put(at.key(), at.value()));
    previous = at.key().ToString();
    at.Next();
    MRL_RETURN_IF_ERROR(FromRocks(at.status(), "id map"));
    if (at.Valid()) next.push(i);
  }
  return writer.Finish();
}

class Database::Impl {
 public:
  Impl(rocksdb::DB* db, std::vector<rocksdb::ColumnFamilyHandle*> families)
      : db_(db), families_(std::move(families)) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    for (rocksdb::ColumnFamilyHandle* family : families_) db_->DestroyColumnFamilyHandle(family);
  }

  rocksdb::DB& db() { return *db_; }
  rocksdb::ColumnFamilyHandle* manifest() { return families_[0]; }
  rocksdb::ColumnFamilyHandle* ids() { return families_[1]; }

 private:
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> families_;  // default, ids
};

namespace {

std::vector<rocksdb::ColumnFamilyDescriptor> Families() {
  const rocksdb::ColumnFamilyOptions options(DatabaseOptions());
  return {{rocksdb::kDefaultColumnFamilyName, options}, {kIdsFamily, options}};
}

}  // namespace

Database::Database(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Database::~Database() = default;

absl::StatusOr<std::unique_ptr<Database>> Database::Create(const std::string& path) {
  rocksdb::Options options = DatabaseOptions();
  options.create_if_missing = true;
  options.error_if_exists = true;
  options.create_missing_column_families = true;
  rocksdb::DB* db = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  MRL_RETURN_IF_ERROR(
      FromRocks(rocksdb::DB::Open(options, path, Families(), &families, &db), path));
  return std::unique_ptr<Database>(new Database(std::make_unique<Impl>(db, std::move(families))));
}

absl::StatusOr<std::unique_ptr<Database>> Database::OpenReadOnly(const std::string& path) {
  MRL_RETURN_IF_ERROR(CheckTables(path));
  rocksdb::DB* db = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  MRL_RETURN_IF_ERROR(FromDamaged(
      rocksdb::DB::OpenForReadOnly(DatabaseOptions(), path, Families(), &families, &db), path));
  return std::unique_ptr<Database>(new Database(std::make_unique<Impl>(db, std::move(families))));
}

absl::Status Database::IngestIds(const std::string& table_path) {
  rocksdb::IngestExternalFileOptions options;
  options.move_files = true;
  return FromRocks(impl_->db().IngestExternalFile(impl_->ids(), {table_path}, options), "id map");
}

absl::Status Database::PutManifest(const std::string& bytes) {
  rocksdb::WriteOptions options;
  options.sync = true;
  return FromRocks(impl_->db().Put(options, impl_->manifest(), kManifestKey, bytes), "manifest");
}

absl::StatusOr<std::string> Database::GetManifest() const {
  std::string bytes;
  rocksdb::ReadOptions options;
  options.verify_checksums = true;
  MRL_RETURN_IF_ERROR(
      FromDamaged(impl_->db().Get(options, impl_->manifest(), kManifestKey, &bytes), "manifest"));
  return bytes;
}

absl::Status Database::ForEachId(
    const std::function<absl::Status(const PointId&, uint64_t)>& visit) const {
  rocksdb::ReadOptions options;
  options.verify_checksums = true;
  options.fill_cache = false;
  const std::unique_ptr<rocksdb::Iterator> at(impl_->db().NewIterator(options, impl_->ids()));
  for (at->SeekToFirst(); at->Valid(); at->Next()) {
    MRL_ASSIGN_OR_RETURN(const PointId id,
                         ParseIdKey(absl::string_view(at->key().data(), at->key().size())));
    MRL_ASSIGN_OR_RETURN(const uint64_t sequence, DecodeSequence(at->value()));
    MRL_RETURN_IF_ERROR(visit(id, sequence));
  }
  return FromDamaged(at->status(), "id map");
}

absl::Status Database::VerifyChecksums() const {
  MRL_RETURN_IF_ERROR(FromDamaged(impl_->db().VerifyChecksum(), "db"));
  return FromDamaged(impl_->db().VerifyFileChecksums(rocksdb::ReadOptions()), "db");
}

absl::Status Database::Flush() {
  return FromRocks(impl_->db().Flush(rocksdb::FlushOptions(), {impl_->manifest(), impl_->ids()}),
                   "db");
}

absl::Status Database::Close() {
  MRL_RETURN_IF_ERROR(Flush());
  MRL_RETURN_IF_ERROR(FromRocks(impl_->db().SyncWAL(), "db"));
  impl_.reset();
  return absl::OkStatus();
}

}  // namespace mrl::collection
