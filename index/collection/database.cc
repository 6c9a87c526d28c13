#include "index/collection/database.h"

#include <rocksdb/db.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/utilities/checkpoint.h>

#include <algorithm>
#include <queue>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/collection/batch_impl.h"
#include "index/collection/closed_record.h"
#include "index/collection/rocks.h"
#include "index/collection/table_check.h"

namespace mrl::collection {
namespace {

constexpr char kNumberTag = 1;
constexpr char kTextTag = 2;
constexpr char kIdsFamily[] = "ids";
constexpr char kTailFamily[] = "tail";
constexpr char kDeletionsFamily[] = "deletions";

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
  Impl(rocksdb::DB* db, std::vector<rocksdb::ColumnFamilyHandle*> handles)
      : db_(db), handles_(std::move(handles)) {
    for (rocksdb::ColumnFamilyHandle* handle : handles_) {
      const std::string& name = handle->GetName();
      if (name == rocksdb::kDefaultColumnFamilyName) families_.manifest = handle;
      if (name == kIdsFamily) families_.ids = handle;
      if (name == kTailFamily) families_.tail = handle;
      if (name == kDeletionsFamily) families_.deletions = handle;
    }
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    for (rocksdb::ColumnFamilyHandle* handle : handles_) db_->DestroyColumnFamilyHandle(handle);
  }

  rocksdb::DB& db() { return *db_; }
  const std::vector<rocksdb::ColumnFamilyHandle*>& handles() const { return handles_; }
  const Families& families() const { return families_; }

  // Every entry of a family, in order.
  using Visitor =
      std::function<absl::Status(const rocksdb::Slice& key, const rocksdb::Slice& value)>;
  absl::Status ForEach(rocksdb::ColumnFamilyHandle* family, absl::string_view what,
                       const Visitor& visit) {
    if (family == nullptr) return absl::OkStatus();
    rocksdb::ReadOptions options;
    options.verify_checksums = true;
    options.fill_cache = false;
    const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(options, family));
    for (at->SeekToFirst(); at->Valid(); at->Next()) {
      MRL_RETURN_IF_ERROR(visit(at->key(), at->value()));
    }
    return FromDamaged(at->status(), what);
  }
  // Nothing when there is no such key.
  absl::StatusOr<std::optional<std::string>> Get(rocksdb::ColumnFamilyHandle* family,
                                                 const std::string& key, absl::string_view what) {
    std::string bytes;
    rocksdb::ReadOptions options;
    options.verify_checksums = true;
    const rocksdb::Status found = db_->Get(options, family, key, &bytes);
    if (found.IsNotFound()) return std::optional<std::string>();
    MRL_RETURN_IF_ERROR(FromDamaged(found, what));
    return std::optional<std::string>(std::move(bytes));
  }

 private:
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;
  Families families_;
};

namespace {

// Rows of the tail are large and short-lived: they lie in blob files, so that compaction does not
// copy them, and the files go as soon as nothing in them is needed.
rocksdb::ColumnFamilyOptions TailOptions(const rocksdb::Options& base) {
  rocksdb::ColumnFamilyOptions options(base);
  options.write_buffer_size = 16 << 20;
  options.enable_blob_files = true;
  options.min_blob_size = 256;
  options.enable_blob_garbage_collection = true;
  options.blob_garbage_collection_age_cutoff = 1.0;
  return options;
}

std::vector<rocksdb::ColumnFamilyDescriptor> Descriptors(const rocksdb::Options& options) {
  const rocksdb::ColumnFamilyOptions plain(options);
  return {{rocksdb::kDefaultColumnFamilyName, plain},
          {kIdsFamily, plain},
          {kTailFamily, TailOptions(options)},
          {kDeletionsFamily, plain}};
}

// A writer beside us may remove a table between its being named and its being opened; what is read
// then names it no more. Damage stays.
template <typename Read>
auto BesideAWriter(const Read& read) {
  constexpr int kTries = 3;
  auto result = read();
  for (int i = 1; i < kTries && !result.ok(); ++i) result = read();
  return result;
}

struct OpenedDb {
  rocksdb::DB* db = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
};

absl::StatusOr<OpenedDb> CheckAndOpenReadOnly(const std::string& path, rocksdb::Env* env) {
  MRL_RETURN_IF_ERROR(CheckTables(path));
  const rocksdb::Options options = DatabaseOptions(env);
  std::vector<std::string> names;
  MRL_RETURN_IF_ERROR(FromDamaged(rocksdb::DB::ListColumnFamilies(options, path, &names), path));
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors = Descriptors(options);
  std::erase_if(descriptors, [&](const rocksdb::ColumnFamilyDescriptor& family) {
    const bool is_old =
        family.name == rocksdb::kDefaultColumnFamilyName || family.name == kIdsFamily;
    return !is_old && std::find(names.begin(), names.end(), family.name) == names.end();
  });
  OpenedDb opened;
  MRL_RETURN_IF_ERROR(FromDamaged(
      rocksdb::DB::OpenForReadOnly(options, path, descriptors, &opened.handles, &opened.db), path));
  return opened;
}

}  // namespace

Database::Database(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Database::~Database() = default;

absl::StatusOr<std::unique_ptr<Database>> Database::Create(const std::string& path,
                                                           rocksdb::Env* env) {
  rocksdb::Options options = DatabaseOptions(env);
  options.create_if_missing = true;
  options.error_if_exists = true;
  options.create_missing_column_families = true;
  rocksdb::DB* db = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  MRL_RETURN_IF_ERROR(
      FromRocks(rocksdb::DB::Open(options, path, Descriptors(options), &handles, &db), path));
  return std::unique_ptr<Database>(new Database(std::make_unique<Impl>(db, std::move(handles))));
}

absl::StatusOr<std::unique_ptr<Database>> Database::OpenReadOnly(const std::string& path,
                                                                 rocksdb::Env* env) {
  MRL_ASSIGN_OR_RETURN(OpenedDb opened,
                       BesideAWriter([&] { return CheckAndOpenReadOnly(path, env); }));
  return std::unique_ptr<Database>(
      new Database(std::make_unique<Impl>(opened.db, std::move(opened.handles))));
}

absl::StatusOr<std::unique_ptr<Database>> Database::OpenForWriting(const std::string& path,
                                                                   rocksdb::Env* env) {
  MRL_RETURN_IF_ERROR(BesideAWriter([&] { return CheckTables(path); }));
  rocksdb::Options options = DatabaseOptions(env);
  options.create_missing_column_families = true;
  rocksdb::DB* db = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  const rocksdb::Status opened =
      rocksdb::DB::Open(options, path, Descriptors(options), &handles, &db);
  if (IsLockHeld(opened)) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is open for writing already, here or in another process"));
  }
  MRL_RETURN_IF_ERROR(FromRocks(opened, path));
  return std::unique_ptr<Database>(new Database(std::make_unique<Impl>(db, std::move(handles))));
}

absl::Status Database::IngestIds(const std::string& table_path) {
  rocksdb::IngestExternalFileOptions options;
  options.move_files = true;
  return FromRocks(impl_->db().IngestExternalFile(impl_->families().ids, {table_path}, options),
                   "id map");
}

absl::Status Database::PutManifest(const std::string& bytes) {
  Batch batch = NewBatch();
  batch.PutManifest(bytes);
  return Annotate(Commit(batch, /*sync=*/true), "manifest");
}

absl::StatusOr<std::string> Database::GetManifest() const {
  MRL_ASSIGN_OR_RETURN(std::optional<std::string> bytes,
                       impl_->Get(impl_->families().manifest, kManifestKey, "manifest"));
  if (!bytes.has_value()) return absl::DataLossError("manifest: there is none");
  return *std::move(bytes);
}

absl::Status Database::PutRotation(const std::string& bytes) {
  Batch batch = NewBatch();
  batch.PutRotation(bytes);
  return Annotate(Commit(batch, /*sync=*/true), "rotation");
}

absl::StatusOr<std::string> Database::GetRotation() const {
  MRL_ASSIGN_OR_RETURN(std::optional<std::string> bytes,
                       impl_->Get(impl_->families().manifest, kRotationKey, "rotation"));
  if (!bytes.has_value()) return absl::DataLossError("rotation: there is none");
  return *std::move(bytes);
}

absl::StatusOr<uint64_t> Database::GetSequence() const {
  MRL_ASSIGN_OR_RETURN(const std::optional<std::string> bytes,
                       impl_->Get(impl_->families().manifest, kSequenceKey, "sequence"));
  if (!bytes.has_value()) return 0;
  return DecodeSequence(*bytes);
}

absl::StatusOr<std::optional<uint64_t>> Database::GetId(const PointId& id) const {
  MRL_ASSIGN_OR_RETURN(const std::optional<std::string> bytes,
                       impl_->Get(impl_->families().ids, IdKey(id), "id map"));
  if (!bytes.has_value()) return std::optional<uint64_t>();
  MRL_ASSIGN_OR_RETURN(const uint64_t sequence, DecodeSequence(*bytes));
  return std::optional<uint64_t>(sequence);
}

absl::Status Database::ForEachId(
    const std::function<absl::Status(const PointId&, uint64_t)>& visit) const {
  return impl_->ForEach(
      impl_->families().ids, "id map",
      [&](const rocksdb::Slice& key, const rocksdb::Slice& value) -> absl::Status {
        MRL_ASSIGN_OR_RETURN(const PointId id,
                             ParseIdKey(absl::string_view(key.data(), key.size())));
        MRL_ASSIGN_OR_RETURN(const uint64_t sequence, DecodeSequence(value));
        return visit(id, sequence);
      });
}

absl::Status Database::ForEachRow(
    const std::function<absl::Status(uint32_t, uint64_t, absl::string_view)>& visit) const {
  return impl_->ForEach(
      impl_->families().tail, "tail", [&](const rocksdb::Slice& key, const rocksdb::Slice& value) {
        uint32_t epoch = 0;
        uint64_t sequence = 0;
        MRL_RETURN_IF_ERROR(ParsePairKey(key, &epoch, &sequence));
        return visit(epoch, sequence, absl::string_view(value.data(), value.size()));
      });
}

absl::Status Database::ForEachDeletion(
    const std::function<absl::Status(uint32_t, uint32_t)>& visit) const {
  return impl_->ForEach(impl_->families().deletions, "deletions",
                        [&](const rocksdb::Slice& key, const rocksdb::Slice&) {
                          uint32_t segment = 0;
                          uint32_t row = 0;
                          MRL_RETURN_IF_ERROR(ParsePairKey(key, &segment, &row));
                          return visit(segment, row);
                        });
}

Batch Database::NewBatch() const { return Batch(impl_->families()); }

absl::Status Database::Commit(const Batch& batch, bool sync) {
  rocksdb::WriteOptions options;
  options.sync = sync;
  return FromRocks(impl_->db().Write(options, &batch.impl_->writes_), "db");
}

absl::Status Database::Sync() { return FromRocks(impl_->db().SyncWAL(), "db"); }

absl::Status Database::Checkpoint(const std::string& path) {
  rocksdb::Checkpoint* made = nullptr;
  MRL_RETURN_IF_ERROR(FromRocks(rocksdb::Checkpoint::Create(&impl_->db(), &made), path));
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
  // Without a flush, the log that is copied holds what no table does.
  return FromRocks(checkpoint->CreateCheckpoint(path), path);
}

absl::Status Database::Resume() { return FromRocks(impl_->db().Resume(), "db"); }

absl::Status Database::ReclaimEpochsBefore(uint32_t epoch) {
  // The log goes when nothing in it is only there; rows in blob files when no table names them.
  MRL_RETURN_IF_ERROR(Flush());
  const std::string first = PairKey(0, uint64_t{0});
  const std::string last = PairKey(epoch, uint64_t{0});
  const rocksdb::Slice begin(first);
  const rocksdb::Slice end(last);
  return FromRocks(impl_->db().CompactRange(rocksdb::CompactRangeOptions(), impl_->families().tail,
                                            &begin, &end),
                   "db");
}

absl::Status Database::VerifyChecksums() const {
  MRL_RETURN_IF_ERROR(FromDamaged(impl_->db().VerifyChecksum(), "db"));
  return FromDamaged(impl_->db().VerifyFileChecksums(rocksdb::ReadOptions()), "db");
}

absl::Status Database::Flush() {
  return FromRocks(impl_->db().Flush(rocksdb::FlushOptions(), impl_->handles()), "db");
}

absl::Status Database::Close() {
  MRL_RETURN_IF_ERROR(Flush());
  MRL_RETURN_IF_ERROR(FromRocks(impl_->db().SyncWAL(), "db"));
  rocksdb::Env* env = impl_->db().GetEnv();
  const std::string path = impl_->db().GetName();
  impl_.reset();
  // All is on the disk; without the record less is noticed at the next start.
  WriteClosedRecord(*env, path).IgnoreError();
  return absl::OkStatus();
}

}  // namespace mrl::collection
