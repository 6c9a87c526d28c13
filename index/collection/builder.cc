#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/background.h"
#include "base/for_each.h"
#include "base/status.h"
#include "base/stopwatch.h"
#include "index/collection/collection.h"
#include "index/collection/database.h"
#include "index/collection/layout.h"
#include "index/collection/manifest_reader.h"
#include "index/filter/field_file.h"
#include "index/filter/payload_values.h"
#include "index/format/section_file.h"
#include "index/store/check_vector.h"
#include "index/transform/rotation.h"
#include "index/transform/transform.h"

namespace mrl::collection {
namespace {

constexpr size_t kPieceRows = 64;  // that one thread checks at a time

std::string TrimSlashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

std::string TemporaryPath(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  return JoinPath(ParentPath(path),
                  absl::StrCat(".tmp-", name, "-", format::NewUuid().substr(0, 8)));
}

absl::StatusOr<uint64_t> FileBytes(FileSystem& files, const std::string& path) {
  MRL_ASSIGN_OR_RETURN(const auto file, files.Open(path));
  return file->size();
}

}  // namespace

class CollectionBuilder::Impl {
 public:
  Impl(FileSystem& files, const std::string& path, const Schema& schema,
       const BuildOptions& options)
      : files_(files),
        path_(TrimSlashes(path)),
        temporary_path_(TemporaryPath(path_)),
        schema_(schema),
        options_(options) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    writing_.Wait().IgnoreError();
    segment_.reset();
    scan_.reset();
    files_.RemoveTree(temporary_path_).IgnoreError();  // an unnamed left-over at worst
  }

  absl::Status Create();
  absl::Status Append(Chunk chunk);
  absl::StatusOr<BuildReport> Finish();

 private:
  // Rows that passed the checks, transformed.
  struct Rows {
    std::vector<float> vectors;
    std::vector<PointId> ids;
    std::vector<std::string> payloads;
    std::vector<float> mean_deviation;
    std::vector<filter::RowValues> values;  // with fields only
  };

  // What the checks found of one row.
  struct Checked {
    absl::Status refused;
    float mean = 0;
    float deviation = 1;
    filter::RowValues values;
  };

  absl::Status CheckDestination();
  absl::Status CheckChunk(const Chunk& chunk) const;
  // Transforms a row, or all, in their place and checks them.
  Checked CheckRow(const Chunk& chunk, size_t row, float* vector) const;
  std::vector<Checked> CheckRows(const Chunk& chunk, std::vector<float>* vectors) const;
  // The chunk's rows that may be stored; counts the others.
  Rows Accept(Chunk chunk);
  // A row was refused: the rest is read to count what is like it, and nothing more is written.
  bool refuses() const { return report_.skipped > 0 && !options_.skip_invalid; }
  absl::Status AppendRows(Rows& rows, size_t begin, size_t count);
  // Rows that were encoded, into both files.
  absl::Status Write(const format::Pieces& rows, const format::Pieces& codes);
  absl::Status OpenSegment();
  absl::Status CloseSegment();
  absl::Status BuildIndexes();
  absl::Status WriteDatabase();
  // Files of RocksDB that nobody reads again, hence nobody would miss or find damaged.
  absl::Status RemoveUnread();
  absl::Status Publish();
  std::string IdTablePath(uint32_t number) const {
    return JoinPath(temporary_path_, absl::StrCat("ids-", number, ".sst"));
  }

  FileSystem& files_;
  const std::string path_;
  const std::string temporary_path_;
  const Schema schema_;
  const BuildOptions options_;
  BuildReport report_;
  Manifest manifest_;
  uint64_t rows_read_ = 0;  // given so far, skipped ones too
  std::unique_ptr<store::SegmentWriter> segment_;
  std::unique_ptr<coarse::ScanWriter> scan_;
  std::unique_ptr<filter::FieldFileWriter> fields_;
  uint32_t segment_rows_max_ = 0;
  Background writing_;  // what was encoded last, while the next rows are read and encoded
};

absl::Status CollectionBuilder::Impl::CheckDestination() {
  manifest_.generation = 1;
  if (!files_.Exists(path_)) return absl::OkStatus();
  if (!options_.replace) {
    return absl::AlreadyExistsError(absl::StrCat(path_, " exists; replace it with --replace"));
  }
  const absl::StatusOr<Manifest> old = ReadManifest(files_, path_);
  if (absl::IsNotFound(old.status())) {
    return absl::FailedPreconditionError(
        absl::StrCat(path_, " is not a collection directory and is not replaced"));
  }
  // A damaged collection may be replaced: that is how one is repaired.
  if (old.ok()) manifest_.generation = old->generation + 1;
  return absl::OkStatus();
}

absl::Status CollectionBuilder::Impl::Create() {
  MRL_RETURN_IF_ERROR(schema_.Validate());
  if (options_.segment_rows_max == 0 || options_.segment_rows_max > store::Segment::kRowsMax) {
    return absl::InvalidArgumentError(absl::StrCat("segment_rows_max is ",
                                                   options_.segment_rows_max, "; 1 to ",
                                                   store::Segment::kRowsMax, " is allowed"));
  }
  if (options_.index.has_value()) MRL_RETURN_IF_ERROR(options_.index->Validate(schema_));
  MRL_RETURN_IF_ERROR(CheckDestination());
  manifest_.uuid = format::NewUuid();
  manifest_.schema = schema_;
  manifest_.active_kind = "scan";
  if (options_.index.has_value()) {
    manifest_.active_kind = options_.index->kind;
    manifest_.indexes = {*options_.index};
  }
  MRL_RETURN_IF_ERROR(files_.CreateDirectory(temporary_path_));
  return files_.CreateDirectory(SegmentsPath(temporary_path_));
}

absl::Status CollectionBuilder::Impl::CheckChunk(const Chunk& chunk) const {
  if (chunk.vectors.size() != chunk.ids.size() * schema_.dim) {
    return absl::InvalidArgumentError(absl::StrCat(chunk.ids.size(), " ids came with ",
                                                   chunk.vectors.size(), " values; ", schema_.dim,
                                                   " per id are needed"));
  }
  if (!chunk.payloads.empty() && chunk.payloads.size() != chunk.ids.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(chunk.ids.size(), " ids came with ", chunk.payloads.size(), " payloads"));
  }
  return absl::OkStatus();
}

CollectionBuilder::Impl::Checked CollectionBuilder::Impl::CheckRow(const Chunk& chunk, size_t row,
                                                                   float* vector) const {
  Checked checked;
  if (schema_.transform == Transform::kLayerNorm) {
    transform::LayerNorm(vector, schema_.dim, vector, &checked.mean, &checked.deviation);
  }
  const store::VectorProblem problem = store::CheckVector(schema_, vector);
  checked.refused = chunk.ids[row].Validate();
  if (problem != store::VectorProblem::kNone) {
    checked.refused = absl::InvalidArgumentError(store::Describe(problem, schema_, vector));
  }
  auto values =
      filter::ReadValues(schema_.fields, chunk.payloads.empty() ? "" : chunk.payloads[row]);
  checked.refused.Update(values.status());
  if (values.ok()) checked.values = *std::move(values);
  return checked;
}

std::vector<CollectionBuilder::Impl::Checked> CollectionBuilder::Impl::CheckRows(
    const Chunk& chunk, std::vector<float>* vectors) const {
  if (schema_.transform == Transform::kRotation) {
    transform::RotateRows(schema_.rotation, schema_.dim, vectors);
  }
  std::vector<Checked> checked(chunk.ids.size());
  ForEachRange(checked.size(), kPieceRows, options_.threads, [&](size_t begin, size_t end) {
    for (size_t row = begin; row < end; ++row) {
      checked[row] = CheckRow(chunk, row, vectors->data() + row * schema_.dim);
    }
  });
  return checked;
}

CollectionBuilder::Impl::Rows CollectionBuilder::Impl::Accept(Chunk chunk) {
  const Stopwatch stopwatch(&report_.seconds.check);
  const size_t dim = schema_.dim;
  Rows rows;
  rows.vectors = std::move(chunk.vectors);
  std::vector<Checked> checked = CheckRows(chunk, &rows.vectors);
  for (size_t row = 0; row < checked.size(); ++row) {
    if (!checked[row].refused.ok()) {
      if (report_.skipped++ == 0) {
        report_.first_skipped =
            absl::StrCat("row ", rows_read_ + row, ": ", checked[row].refused.message());
      }
      continue;
    }
    float* to = rows.vectors.data() + rows.ids.size() * dim;
    if (rows.ids.size() < row) std::copy_n(rows.vectors.data() + row * dim, dim, to);
    rows.ids.push_back(std::move(chunk.ids[row]));
    if (!schema_.fields.empty()) rows.values.push_back(std::move(checked[row].values));
    if (!chunk.payloads.empty()) rows.payloads.push_back(std::move(chunk.payloads[row]));
    if (schema_.transform == Transform::kLayerNorm) {
      rows.mean_deviation.insert(rows.mean_deviation.end(),
                                 {checked[row].mean, checked[row].deviation});
    }
  }
  rows_read_ += checked.size();
  rows.vectors.resize(rows.ids.size() * dim);
  return rows;
}

absl::Status CollectionBuilder::Impl::Append(Chunk chunk) {
  MRL_RETURN_IF_ERROR(CheckChunk(chunk));
  Rows rows = Accept(std::move(chunk));
  if (refuses()) return absl::OkStatus();
  for (size_t begin = 0; begin < rows.ids.size();) {
    if (segment_ == nullptr) MRL_RETURN_IF_ERROR(OpenSegment());
    const size_t room = segment_rows_max_ - segment_->rows();
    const size_t count = std::min(rows.ids.size() - begin, room);
    MRL_RETURN_IF_ERROR(AppendRows(rows, begin, count));
    begin += count;
    if (segment_->rows() == segment_rows_max_) MRL_RETURN_IF_ERROR(CloseSegment());
  }
  return absl::OkStatus();
}

absl::Status CollectionBuilder::Impl::AppendRows(Rows& rows, size_t begin, size_t count) {
  const auto vectors =
      absl::MakeSpan(rows.vectors).subspan(begin * schema_.dim, count * schema_.dim);
  const auto ids = absl::MakeConstSpan(rows.ids).subspan(begin, count);
  absl::Span<const std::string> payloads;
  if (!rows.payloads.empty()) payloads = absl::MakeConstSpan(rows.payloads).subspan(begin, count);
  absl::Span<const float> mean_deviation;
  if (!rows.mean_deviation.empty()) {
    mean_deviation = absl::MakeConstSpan(rows.mean_deviation).subspan(2 * begin, 2 * count);
  }
  format::Pieces stored;
  format::Pieces codes;
  {
    const Stopwatch stopwatch(&report_.seconds.encode);
    MRL_ASSIGN_OR_RETURN(stored, segment_->Encode(vectors, ids, payloads, mean_deviation));
    codes = scan_->Encode(vectors);
    if (!rows.values.empty()) {
      for (size_t row = begin; row < begin + count; ++row) fields_->Append(rows.values[row]);
    }
  }
  report_.rows += count;
  MRL_RETURN_IF_ERROR(writing_.Wait());
  if (options_.threads <= 1) return Write(stored, codes);
  writing_.Start([this, stored = std::move(stored), codes = std::move(codes)] {
    return Write(stored, codes);
  });
  return absl::OkStatus();
}

absl::Status CollectionBuilder::Impl::Write(const format::Pieces& rows,
                                            const format::Pieces& codes) {
  const Stopwatch stopwatch(&report_.seconds.write);
  MRL_RETURN_IF_ERROR(segment_->Write(rows));
  return scan_->Write(codes);
}

absl::Status CollectionBuilder::Impl::OpenSegment() {
  const auto number = static_cast<uint32_t>(manifest_.segments.size() + 1);
  // Space is laid out for what is known to come, so that files have no large holes.
  const uint64_t stored = report_.rows + report_.skipped;
  const uint64_t left =
      options_.rows_expected > stored ? options_.rows_expected - stored : options_.segment_rows_max;
  segment_rows_max_ = static_cast<uint32_t>(std::min<uint64_t>(left, options_.segment_rows_max));
  store::SegmentWriter::Options options;
  options.number = number;
  options.first_sequence = report_.rows + 1;
  options.rows_max = segment_rows_max_;
  options.layer_norm = schema_.transform == Transform::kLayerNorm;
  options.threads = options_.threads;
  MRL_ASSIGN_OR_RETURN(
      segment_,
      store::SegmentWriter::Create(files_, SegmentPath(temporary_path_, number), schema_, options));
  MRL_ASSIGN_OR_RETURN(
      scan_, coarse::ScanWriter::Create(files_, SideFilePath(temporary_path_, number, "scan"),
                                        schema_, segment_rows_max_, options_.threads));
  fields_ = std::make_unique<filter::FieldFileWriter>(schema_);
  return absl::OkStatus();
}

absl::Status CollectionBuilder::Impl::CloseSegment() {
  MRL_RETURN_IF_ERROR(writing_.Wait());
  const Stopwatch stopwatch(&report_.seconds.finish);
  MRL_ASSIGN_OR_RETURN(const store::SegmentInfo info, segment_->Finish());
  MRL_RETURN_IF_ERROR(scan_->Finish(info));
  MRL_RETURN_IF_ERROR(WriteIdTable(IdTablePath(info.number), segment_->ids(), info.first_sequence));
  segment_.reset();
  scan_.reset();
  manifest_.segments.push_back(info);
  MRL_ASSIGN_OR_RETURN(const uint64_t scan_bytes,
                       FileBytes(files_, SideFilePath(temporary_path_, info.number, "scan")));
  manifest_.side_files.push_back({info.number, "scan", scan_bytes});
  if (!schema_.fields.empty()) {
    MRL_ASSIGN_OR_RETURN(
        const uint64_t filter_bytes,
        fields_->Finish(files_, SideFilePath(temporary_path_, info.number, kFilterKind), info));
    manifest_.side_files.push_back({info.number, kFilterKind, filter_bytes});
  }
  fields_.reset();
  return absl::OkStatus();
}

absl::Status CollectionBuilder::Impl::BuildIndexes() {
  if (!options_.index.has_value()) return absl::OkStatus();
  const Stopwatch stopwatch(&report_.seconds.index);
  MemoryAccount account(MemoryAccount::DefaultLimitBytes());
  for (const store::SegmentInfo& info : manifest_.segments) {
    const std::string path = SideFilePath(temporary_path_, info.number, options_.index->kind);
    MRL_ASSIGN_OR_RETURN(const auto segment,
                         store::Segment::Open(files_, SegmentPath(temporary_path_, info.number),
                                              info, schema_, account));
    MRL_RETURN_IF_ERROR(coarse::BuildIndex(files_, path, *segment, *options_.index,
                                           {.threads = options_.threads, .gpu = options_.gpu}));
    MRL_ASSIGN_OR_RETURN(const uint64_t file_bytes, FileBytes(files_, path));
    manifest_.side_files.push_back({info.number, options_.index->kind, file_bytes});
  }
  return absl::OkStatus();
}

absl::Status CollectionBuilder::Impl::WriteDatabase() {
  std::string ids = IdTablePath(1);
  if (manifest_.segments.size() > 1) {
    std::vector<std::string> tables;
    for (const store::SegmentInfo& info : manifest_.segments) {
      tables.push_back(IdTablePath(info.number));
    }
    ids = IdTablePath(0);
    MRL_RETURN_IF_ERROR(MergeIdTables(tables, ids));
    for (const std::string& table : tables) MRL_RETURN_IF_ERROR(files_.Remove(table));
  }
  MRL_ASSIGN_OR_RETURN(const std::unique_ptr<Database> database,
                       Database::Create(DatabasePath(temporary_path_)));
  manifest_.created_unix_s = std::chrono::duration_cast<std::chrono::seconds>(
                                 std::chrono::system_clock::now().time_since_epoch())
                                 .count();
  if (schema_.transform == Transform::kRotation) {
    MRL_RETURN_IF_ERROR(database->PutRotation(transform::Serialize(schema_.rotation)));
  }
  MRL_RETURN_IF_ERROR(database->PutManifest(manifest_.Serialize()));
  MRL_RETURN_IF_ERROR(database->Flush());
  // The ids last: RocksDB takes a damaged end of its log of tables for a torn one and goes on
  // without it. Ids would be missed; an end that adds nothing would not be.
  MRL_RETURN_IF_ERROR(database->IngestIds(ids));
  MRL_RETURN_IF_ERROR(database->Close());
  return RemoveUnread();
}

absl::Status CollectionBuilder::Impl::RemoveUnread() {
  const std::string path = DatabasePath(temporary_path_);
  MRL_ASSIGN_OR_RETURN(const std::vector<std::string> names, files_.List(path));
  for (const std::string& name : names) {
    if (name != "IDENTITY" && !absl::StartsWith(name, "OPTIONS-")) continue;
    MRL_RETURN_IF_ERROR(files_.Remove(JoinPath(path, name)));
  }
  return files_.SyncDirectory(path);
}

absl::StatusOr<BuildReport> CollectionBuilder::Impl::Finish() {
  MRL_RETURN_IF_ERROR(writing_.Wait());
  if (refuses()) {
    return absl::InvalidArgumentError(
        absl::StrCat(report_.first_skipped, "; ", report_.skipped, " of ", rows_read_,
                     " rows cannot be stored; drop them with --skip-invalid"));
  }
  if (segment_ != nullptr) MRL_RETURN_IF_ERROR(CloseSegment());
  if (report_.rows == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "there are no rows to build from; ", report_.skipped, " of ", rows_read_, " were skipped"));
  }
  MRL_RETURN_IF_ERROR(BuildIndexes());
  {
    const Stopwatch stopwatch(&report_.seconds.database);
    MRL_RETURN_IF_ERROR(WriteDatabase());
    MRL_RETURN_IF_ERROR(Publish());
  }
  return report_;
}

absl::Status CollectionBuilder::Impl::Publish() {
  MRL_RETURN_IF_ERROR(files_.SyncDirectory(SegmentsPath(temporary_path_)));
  MRL_RETURN_IF_ERROR(files_.SyncDirectory(temporary_path_));
  const bool replaces = files_.Exists(path_);
  if (replaces && !options_.replace) {
    return absl::AlreadyExistsError(absl::StrCat(path_, " appeared while it was built"));
  }
  // What was at `path_` is at the temporary name after an exchange, and goes with the builder.
  MRL_RETURN_IF_ERROR(replaces ? files_.Exchange(temporary_path_, path_)
                               : files_.Rename(temporary_path_, path_));
  absl::Status synced = files_.SyncDirectory(ParentPath(path_));
  if (synced.ok()) return absl::OkStatus();
  // A build that reports an error leaves `path_` as it was.
  (replaces ? files_.Exchange(temporary_path_, path_) : files_.Rename(path_, temporary_path_))
      .IgnoreError();
  return synced;
}

CollectionBuilder::CollectionBuilder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CollectionBuilder::~CollectionBuilder() = default;

absl::StatusOr<std::unique_ptr<CollectionBuilder>> CollectionBuilder::Create(
    FileSystem& files, const std::string& path, const Schema& schema, const BuildOptions& options) {
  auto impl = std::make_unique<Impl>(files, path, schema, options);
  MRL_RETURN_IF_ERROR(impl->Create());
  return std::unique_ptr<CollectionBuilder>(new CollectionBuilder(std::move(impl)));
}

absl::Status CollectionBuilder::Append(Chunk chunk) { return impl_->Append(std::move(chunk)); }
absl::StatusOr<BuildReport> CollectionBuilder::Finish() { return impl_->Finish(); }

}  // namespace mrl::collection
