#include "index/collection/live_collection.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/planted.h"
#include "base/status.h"
#include "index/coarse/exact_scan.h"
#include "index/collection/collection_impl.h"
#include "index/collection/layout.h"
#include "index/collection/live_impl.h"
#include "index/format/section_file.h"
#include "index/funnel/filtered.h"

namespace mrl::collection {
namespace {

constexpr uint64_t kSealBytes = 64 << 20;
constexpr uint32_t kSealRowsMin = 1024;
constexpr uint32_t kSealRowsMax = 262'144;
// A tail of more than this many segments' worth makes its writers seal.
constexpr uint64_t kTailSegmentsMax = 4;

uint32_t SealRows(const Schema& schema, const LiveOptions& options) {
  if (options.seal_rows > 0) return options.seal_rows;
  const uint64_t rows = kSealBytes / schema.vector_bytes();
  return static_cast<uint32_t>(
      std::clamp<uint64_t>(rows, kSealRowsMin, std::min(kSealRowsMax, options.segment_rows_max)));
}

uint32_t NextSegment(const Manifest& manifest) {
  uint32_t next = std::max(1U, manifest.next_segment);
  for (const store::SegmentInfo& info : manifest.segments) next = std::max(next, info.number + 1);
  return next;
}

absl::Status Refused(const std::string& id, absl::string_view what, bool exists) {
  const std::string message = absl::StrCat("point '", id, "' ", what);
  return exists ? absl::AlreadyExistsError(message) : absl::AbortedError(message);
}

// Bytes that a row takes beside the room of its block.
uint64_t ExtraBytes(const PreparedPoint& point) {
  const store::StoredRow& row = point.row;
  return row.payload.size() + (row.id.is_number() ? 0 : 2 * row.id.text().size()) +
         filter::MemoryBytes(point.values);
}

}  // namespace

absl::Status LiveOptions::Validate() const {
  if (seal_rows > store::Segment::kRowsMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("seal_rows is ", seal_rows, "; the limit is ", store::Segment::kRowsMax));
  }
  if (segment_rows_max == 0 || segment_rows_max > store::Segment::kRowsMax) {
    return absl::InvalidArgumentError(absl::StrCat("segment_rows_max is ", segment_rows_max,
                                                   "; 1 to ", store::Segment::kRowsMax,
                                                   " is allowed"));
  }
  if (merge_fan_in < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("merge_fan_in is ", merge_fan_in, "; the least is 2"));
  }
  return absl::OkStatus();
}

LiveCollection::Impl::Impl(FileSystem& files, std::string path, MemoryAccount& account,
                           const LiveOptions& options, std::unique_ptr<Database> database,
                           Loaded loaded)
    : files_(files),
      path_(std::move(path)),
      account_(account),
      options_(options),
      schema_(std::make_shared<const Schema>(loaded.manifest.schema)),
      seal_rows_(SealRows(loaded.manifest.schema, options)),
      database_(std::move(database)),
      next_sequence_(loaded.sequence + 1),
      next_segment_(NextSegment(loaded.manifest)),
      log_sync_(*database_),
      parts_(std::move(loaded.parts)),
      manifest_(std::make_shared<const Manifest>(std::move(loaded.manifest))),
      epoch_(loaded.epoch),
      sequence_(loaded.sequence) {}

absl::Status LiveCollection::Impl::RemoveUnnamedFiles() {
  std::set<std::string> named;
  for (const store::SegmentInfo& info : manifest_->segments) {
    named.insert(format::SegmentFileName(info.number));
  }
  for (const Manifest::SideFile& file : manifest_->side_files) {
    named.insert(format::SideFileName(file.segment, file.kind));
  }
  MRL_ASSIGN_OR_RETURN(const std::vector<std::string> names, files_.List(SegmentsPath(path_)));
  for (const std::string& name : names) {
    if (named.count(name) > 0) continue;
    MRL_RETURN_IF_ERROR(files_.RemoveTree(JoinPath(SegmentsPath(path_), name)));
    removed_files_.push_back(name);
  }
  return absl::OkStatus();
}

absl::Status LiveCollection::Impl::CheckWritable() {
  if (closed_) return absl::FailedPreconditionError(absl::StrCat(path_, " is closed"));
  if (absl::IsResourceExhausted(failed_)) {
    if (options_.disk.on_full) options_.disk.on_full();
    if (!Resume().ok()) return failed_;
    failed_ = absl::OkStatus();
  }
  const absl::Status failed = failed_.ok() ? log_sync_.error() : failed_;
  if (failed.ok()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      path_, " takes no writes until it is opened again: ", std::string(failed.message())));
}

absl::Status LiveCollection::Impl::Resume() {
  MRL_RETURN_IF_ERROR(database_->Resume());
  MRL_ASSIGN_OR_RETURN(const std::string bytes, database_->GetManifest());
  if (bytes != manifest_->Serialize()) {
    failed_ = absl::InternalError("a commit that failed is there after all");
    return failed_;
  }
  for (const uint32_t segment : doubtful_segments_) {
    Manifest named;
    for (const std::string& kind : manifest_->kinds()) named.side_files.push_back({segment, kind});
    named.side_files.push_back({segment, kFilterKind});
    RemoveSegmentFiles(named, {segment});
  }
  doubtful_segments_.clear();
  return absl::OkStatus();
}

absl::Status LiveCollection::Impl::Fail(const absl::Status& status) {
  failed_ = Annotate(status, path_);
  return failed_;
}

absl::Status LiveCollection::Impl::CheckConditions(const std::vector<PreparedPoint>& points) {
  for (const PreparedPoint& point : points) {
    if (point.condition == PointWrite::Condition::kNone) continue;
    const auto place = parts_.Find(point.row.id);
    const std::string id = point.row.id.ToString();
    if (point.condition == PointWrite::Condition::kIfAbsent) {
      if (place) return Refused(id, "exists already", /*exists=*/true);
    } else if (!place) {
      return Refused(id, absl::StrCat("does not exist; sequence ", point.sequence, " was expected"),
                     false);
    } else if (const uint64_t now = place->part->Sequence(place->row); now != point.sequence) {
      return Refused(id, absl::StrCat("has sequence ", now, "; ", point.sequence, " was expected"),
                     false);
    }
  }
  return absl::OkStatus();
}

Batch LiveCollection::Impl::MakeBatch(Change& change, Places* places) {
  Batch batch = database_->NewBatch();
  const auto remove = [&](const PartList::Place& place, uint64_t sequence) {
    places->push_back(place);
    if (place.part->is_tail()) {
      batch.RemoveRow(place.part->epoch(), place.part->Sequence(place.row));
    } else if (!Planted(Bug::kTombstoneDropped)) {
      batch.PutDeletion(place.part->number(), place.row, sequence);
    }
  };
  for (PreparedPoint& point : change.points) {
    point.row.sequence = next_sequence_++;
    if (const auto place = parts_.Find(point.row.id)) remove(*place, point.row.sequence);
    batch.PutRow(epoch_, point.row.sequence, point.bytes);
    batch.PutId(point.row.id, point.row.sequence);
  }
  for (const PointId& id : change.deleted) {
    const auto place = parts_.Find(id);
    if (!place) continue;
    remove(*place, next_sequence_++);
    if (!Planted(Bug::kIdKept)) batch.RemoveId(id);
  }
  batch.PutSequence(next_sequence_ - (Planted(Bug::kSequenceOffByOne) ? 2 : 1));
  return batch;
}

absl::StatusOr<WriteResult> LiveCollection::Impl::CommitChange(Change change) {
  uint64_t extra_bytes = 0;
  for (const PreparedPoint& point : change.points) extra_bytes += ExtraBytes(point);
  {
    absl::MutexLock lock(&state_mutex_);
    MRL_RETURN_IF_ERROR(parts_.MakeRoom(epoch_, change.points.size(), extra_bytes));
  }
  const uint64_t before = next_sequence_;
  Places places;
  const Batch batch = MakeBatch(change, &places);
  const uint64_t count = next_sequence_ - before;
  if (count == 0) return WriteResult{.sequence = sequence_, .rows = 0};
  const absl::Status committed = database_->Commit(batch, /*sync=*/false);
  if (!committed.ok()) return Fail(committed);
  ApplyChange(change, places);
  return WriteResult{.sequence = sequence_, .rows = count};
}

void LiveCollection::Impl::ApplyChange(Change& change, const Places& places) {
  absl::MutexLock lock(&state_mutex_);
  for (const PartList::Place& place : places) {
    if (!Planted(Bug::kOldRowFound)) place.part->Remove(place.row);
  }
  for (PreparedPoint& point : change.points) {
    parts_.Append(epoch_, std::move(point.row), point.values);
  }
  sequence_ = next_sequence_ - 1;
  version_ = nullptr;
  if (parts_.EpochRows(epoch_) >= seal_rows_) ++epoch_;
}

absl::Status LiveCollection::Impl::AwaitRoom() {
  MRL_RETURN_IF_ERROR(options_.disk.Check(path_, 0));
  if (tail_rows() < kTailSegmentsMax * seal_rows_) return absl::OkStatus();
  absl::MutexLock lock(&seal_mutex_);
  return SealFullEpochs();
}

absl::StatusOr<WriteResult> LiveCollection::Impl::EndWrite(absl::StatusOr<WriteResult> result,
                                                           uint64_t commit, Durability durability) {
  MRL_RETURN_IF_ERROR(result.status());
  if (durability == Durability::kSync) {
    MRL_RETURN_IF_ERROR(Annotate(log_sync_.WaitFor(commit), path_));
  }
  if (options_.on_work && HasFullEpoch()) options_.on_work();
  return result;
}

absl::StatusOr<WriteResult> LiveCollection::Impl::Upsert(std::vector<PointWrite> points,
                                                         Durability durability) {
  const std::shared_ptr<const Schema> prepared_for = schema();
  MRL_ASSIGN_OR_RETURN(std::vector<PreparedPoint> prepared,
                       Prepare(*prepared_for, std::move(points)));
  MRL_RETURN_IF_ERROR(AwaitRoom());
  absl::StatusOr<WriteResult> result;
  uint64_t commit = 0;
  {
    absl::MutexLock lock(&write_mutex_);
    MRL_RETURN_IF_ERROR(CheckWritable());
    MRL_RETURN_IF_ERROR(Refresh(*prepared_for, prepared));
    MRL_RETURN_IF_ERROR(CheckConditions(prepared));
    result = CommitChange({.points = std::move(prepared), .deleted = {}});
    if (result.ok()) commit = log_sync_.Note();
  }
  return EndWrite(std::move(result), commit, durability);
}

absl::StatusOr<WriteResult> LiveCollection::Impl::Delete(absl::Span<const PointId> ids,
                                                         Durability durability) {
  const std::set<PointId> once(ids.begin(), ids.end());
  absl::StatusOr<WriteResult> result;
  uint64_t commit = 0;
  {
    absl::MutexLock lock(&write_mutex_);
    MRL_RETURN_IF_ERROR(CheckWritable());
    result = CommitChange({.points = {}, .deleted = {once.begin(), once.end()}});
    if (result.ok()) commit = log_sync_.Note();
  }
  return EndWrite(std::move(result), commit, durability);
}

absl::StatusOr<WriteResult> LiveCollection::Impl::DeleteMatching(const filter::Filter& filter,
                                                                 Durability durability) {
  absl::StatusOr<WriteResult> result;
  uint64_t commit = 0;
  {
    absl::MutexLock lock(&write_mutex_);
    MRL_RETURN_IF_ERROR(CheckWritable());
    if (filter.fields() != schema_->fields) {
      return absl::AbortedError("the fields that filters may name have changed; ask again");
    }
    const auto version = Read();
    const funnel::View matching = funnel::Narrow(version->view(), filter);
    if (const uint64_t rows = matching.rows(); rows > kDeletedMax) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "the filter matches ", rows, " points; one call deletes ", kDeletedMax, " at most"));
    }
    Change change;
    for (const funnel::View::Part& part : matching.parts) {
      for (uint32_t row = 0; row < part.segment->rows(); ++row) {
        if (coarse::IsAllowed(part.allowed_data(), row)) {
          change.deleted.push_back(part.segment->Id(row));
        }
      }
    }
    result = CommitChange(std::move(change));
    if (result.ok()) commit = log_sync_.Note();
  }
  return EndWrite(std::move(result), commit, durability);
}

absl::StatusOr<std::vector<PreparedPoint>> LiveCollection::Impl::RewritePayloads(
    std::vector<PayloadWrite> payloads) {
  std::vector<std::string> keys;
  keys.reserve(payloads.size());
  for (const PayloadWrite& write : payloads) keys.push_back(IdKey(write.id));
  std::vector<PreparedPoint> points;
  for (const size_t i : LastOfEach(keys)) {
    const auto place = parts_.Find(payloads[i].id);
    if (!place) {
      return absl::NotFoundError(
          absl::StrCat("point '", payloads[i].id.ToString(), "' does not exist"));
    }
    PreparedPoint& point = points.emplace_back();
    const std::shared_ptr<const store::Segment> segment = [&] {
      absl::MutexLock lock(&state_mutex_);
      return place->part->segment();
    }();
    point.row.vector.resize(schema_->dim);
    MRL_RETURN_IF_ERROR(
        segment->Prefix(place->row, schema_->levels() - 1, point.row.vector.data()));
    if (const float* moments = segment->MeanDeviation(place->row)) {
      point.row.mean = moments[0];
      point.row.deviation = moments[1];
    }
    point.row.id = std::move(payloads[i].id);
    point.row.payload = std::move(payloads[i].payload);
    auto values = filter::ReadValues(schema_->fields, point.row.payload);
    if (!values.ok()) {
      return Annotate(values.status(), absl::StrCat("point '", point.row.id.ToString(), "'"));
    }
    point.values = *std::move(values);
    point.bytes = store::EncodeRow(*schema_, point.row);
  }
  return points;
}

absl::StatusOr<WriteResult> LiveCollection::Impl::UpdatePayloads(std::vector<PayloadWrite> payloads,
                                                                 Durability durability) {
  MRL_RETURN_IF_ERROR(AwaitRoom());
  absl::StatusOr<WriteResult> result;
  uint64_t commit = 0;
  {
    absl::MutexLock lock(&write_mutex_);
    MRL_RETURN_IF_ERROR(CheckWritable());
    MRL_ASSIGN_OR_RETURN(std::vector<PreparedPoint> points, RewritePayloads(std::move(payloads)));
    result = CommitChange({.points = std::move(points), .deleted = {}});
    if (result.ok()) commit = log_sync_.Note();
  }
  return EndWrite(std::move(result), commit, durability);
}

absl::Status LiveCollection::Impl::Sync() {
  {
    absl::MutexLock lock(&write_mutex_);
    if (closed_) return absl::OkStatus();  // closing synced
    if (!failed_.ok()) return failed_;     // RocksDB aborts when a log is used after its error
  }
  return Annotate(log_sync_.WaitForAll(), path_);
}

std::shared_ptr<const Collection> LiveCollection::Impl::Read() {
  absl::MutexLock lock(&state_mutex_);
  if (version_ == nullptr) {
    version_ =
        make_version_({.manifest = manifest_, .view = parts_.Publish(), .sequence = sequence_});
  }
  return version_;
}

uint64_t LiveCollection::Impl::sequence() const {
  absl::MutexLock lock(&state_mutex_);
  return sequence_;
}

uint64_t LiveCollection::Impl::tail_rows() const {
  absl::MutexLock lock(&state_mutex_);
  uint64_t rows = 0;
  for (const auto& part : parts_.parts()) rows += part->is_tail() ? part->rows() : 0;
  return rows;
}

absl::Status LiveCollection::Impl::Close() {
  absl::MutexLock merge_lock(&merge_mutex_);
  absl::MutexLock seal_lock(&seal_mutex_);
  absl::MutexLock lock(&write_mutex_);
  if (closed_) return absl::OkStatus();
  closed_ = true;
  // What could not be written is not tried again: RocksDB aborts when a log is used after its
  // error.
  absl::Status closed = failed_;
  if (closed.ok()) closed = log_sync_.WaitForAll();
  if (closed.ok()) closed = database_->Close();
  database_ = nullptr;
  return Annotate(closed, path_);
}

absl::Status LiveCollection::Create(FileSystem& files, const std::string& path,
                                    const Schema& schema, rocksdb::Env* env) {
  MRL_RETURN_IF_ERROR(schema.Validate());
  if (files.Exists(path)) return absl::AlreadyExistsError(absl::StrCat(path, " exists"));
  Manifest manifest;
  manifest.uuid = format::NewUuid();
  manifest.generation = 1;
  manifest.created_unix_s = std::chrono::duration_cast<std::chrono::seconds>(
                                std::chrono::system_clock::now().time_since_epoch())
                                .count();
  manifest.schema = schema;
  manifest.active_kind = "scan";
  manifest.next_segment = 1;
  const std::string temporary = absl::StrCat(path, ".tmp-", manifest.uuid.substr(0, 8));
  const auto make = [&]() -> absl::Status {
    MRL_RETURN_IF_ERROR(files.CreateDirectory(temporary));
    MRL_RETURN_IF_ERROR(files.CreateDirectory(SegmentsPath(temporary)));
    MRL_ASSIGN_OR_RETURN(const auto database, Database::Create(DatabasePath(temporary), env));
    MRL_RETURN_IF_ERROR(database->PutManifest(manifest.Serialize()));
    MRL_RETURN_IF_ERROR(database->Close());
    MRL_RETURN_IF_ERROR(files.SyncDirectory(temporary));
    MRL_RETURN_IF_ERROR(files.Rename(temporary, path));
    return files.SyncDirectory(ParentPath(path));
  };
  absl::Status made = make();
  if (!made.ok()) files.RemoveTree(temporary).IgnoreError();
  return made;
}

absl::StatusOr<std::unique_ptr<LiveCollection>> LiveCollection::Open(FileSystem& files,
                                                                     const std::string& path,
                                                                     MemoryAccount& account,
                                                                     const LiveOptions& options) {
  MRL_RETURN_IF_ERROR(options.Validate());
  MRL_RETURN_IF_ERROR(ExpectCollection(files, path));
  MRL_ASSIGN_OR_RETURN(auto database, Database::OpenForWriting(DatabasePath(path), options.env));
  MRL_ASSIGN_OR_RETURN(Loaded loaded, Load(files, path, *database, account, options.open));
  auto impl =
      std::make_unique<Impl>(files, path, account, options, std::move(database), std::move(loaded));
  MRL_RETURN_IF_ERROR(impl->RemoveUnnamedFiles());
  impl->make_version_ = [&files, path](Impl::Version version) {
    return std::shared_ptr<const Collection>(new Collection(std::make_unique<Collection::Impl>(
        files, path, std::move(version.manifest), std::move(version.view), version.sequence)));
  };
  return std::unique_ptr<LiveCollection>(new LiveCollection(std::move(impl)));
}

LiveCollection::LiveCollection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LiveCollection::~LiveCollection() { Close().IgnoreError(); }

const std::vector<std::string>& LiveCollection::removed_files() const {
  return impl_->removed_files();
}
std::shared_ptr<const Collection> LiveCollection::Read() const { return impl_->Read(); }
uint64_t LiveCollection::sequence() const { return impl_->sequence(); }
absl::StatusOr<WriteResult> LiveCollection::Upsert(std::vector<PointWrite> points,
                                                   Durability durability) {
  return impl_->Upsert(std::move(points), durability);
}
absl::StatusOr<WriteResult> LiveCollection::Delete(absl::Span<const PointId> ids,
                                                   Durability durability) {
  return impl_->Delete(ids, durability);
}
absl::StatusOr<WriteResult> LiveCollection::DeleteMatching(const filter::Filter& filter,
                                                           Durability durability) {
  return impl_->DeleteMatching(filter, durability);
}
absl::StatusOr<WriteResult> LiveCollection::UpdatePayloads(std::vector<PayloadWrite> payloads,
                                                           Durability durability) {
  return impl_->UpdatePayloads(std::move(payloads), durability);
}
absl::Status LiveCollection::Sync() { return impl_->Sync(); }
bool LiveCollection::needs_sync() const { return impl_->needs_sync(); }
absl::Status LiveCollection::Maintain() { return impl_->Maintain(); }
absl::Status LiveCollection::Seal() { return impl_->Seal(); }
absl::StatusOr<uint64_t> LiveCollection::Compact(const Watch& watch) {
  return impl_->Compact(watch);
}
absl::Status LiveCollection::SetFields(const std::vector<Field>& fields, const Watch& watch) {
  return impl_->SetFields(fields, watch);
}
absl::StatusOr<Snapshot> LiveCollection::MakeSnapshot(const std::string& folder) {
  return impl_->MakeSnapshot(folder);
}
uint64_t LiveCollection::tail_rows() const { return impl_->tail_rows(); }
absl::Status LiveCollection::AddIndex(const coarse::IndexSpec& spec, const AddOptions& options) {
  return impl_->AddIndex(spec, options);
}
absl::Status LiveCollection::UseIndex(const std::string& kind) { return impl_->UseIndex(kind); }
absl::Status LiveCollection::DropIndex(const std::string& kind) { return impl_->DropIndex(kind); }
std::vector<coarse::IndexSpec> LiveCollection::indexes() const { return impl_->indexes(); }
CompactionStats LiveCollection::compactions() const { return impl_->compactions(); }
absl::Status LiveCollection::Close() { return impl_->Close(); }

}  // namespace mrl::collection
