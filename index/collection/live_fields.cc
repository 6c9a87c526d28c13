// Other fields for filters: their values are read from every payload while the old ones serve, and
// put in by one commit.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/collection/layout.h"
#include "index/collection/live_impl.h"
#include "index/filter/field_file.h"
#include "index/filter/payload_values.h"

namespace mrl::collection {
namespace {

constexpr uint32_t kLookedAfterRows = 1024;

// The values of one row; none where it is deleted, whatever its payload is.
absl::StatusOr<filter::RowValues> ReadRow(const LivePart& part, const store::Segment& segment,
                                          uint32_t row, bool live,
                                          const std::vector<Field>& fields) {
  if (!live) return filter::RowValues(fields.size());
  MRL_ASSIGN_OR_RETURN(const std::string payload, segment.Payload(row));
  auto values = filter::ReadValues(fields, payload);
  if (values.ok()) return values;
  return absl::FailedPreconditionError(absl::StrCat("point '", segment.Id(row).ToString(),
                                                    "' of sequence ", part.Sequence(row),
                                                    " does not fit: ", values.status().message()));
}

bool IsIn(const LivePart::Bitmap& live, uint32_t row) {
  return live == nullptr || ((*live)[row / 64] >> (row % 64) & 1) != 0;
}

}  // namespace

std::shared_ptr<const Schema> LiveCollection::Impl::schema() const {
  absl::MutexLock lock(&state_mutex_);
  return schema_;
}

absl::Status LiveCollection::Impl::Refresh(const Schema& prepared_for,
                                           std::vector<PreparedPoint>& points) const {
  if (prepared_for.fields == schema_->fields) return absl::OkStatus();
  for (PreparedPoint& point : points) {
    auto values = filter::ReadValues(schema_->fields, point.row.payload);
    if (!values.ok()) {
      return Annotate(values.status(), absl::StrCat("point '", point.row.id.ToString(), "'"));
    }
    point.values = *std::move(values);
  }
  return absl::OkStatus();
}

absl::StatusOr<LiveCollection::Impl::BuiltFields> LiveCollection::Impl::BuildFields(
    LivePart& part, const Schema& schema, const std::string& kind, const Watch& watch) {
  std::shared_ptr<const store::Segment> segment;
  LivePart::Bitmap live;
  {
    absl::MutexLock lock(&state_mutex_);
    segment = part.segment();
    live = part.Live();
  }
  filter::FieldFileWriter writer(schema);
  for (uint32_t row = 0; row < segment->rows(); ++row) {
    if (row % kLookedAfterRows == 0) {
      watch.Report(row, segment->rows());
      MRL_RETURN_IF_ERROR(watch.Check("reading fields"));
    }
    MRL_ASSIGN_OR_RETURN(const filter::RowValues values,
                         ReadRow(part, *segment, row, IsIn(live, row), schema.fields));
    writer.Append(values);
  }
  const uint32_t number = segment->info().number;
  const std::string path = SideFilePath(path_, number, kind);
  BuiltFields built{.file = {number, kind, 0}, .fields = nullptr};
  MRL_ASSIGN_OR_RETURN(built.file.file_bytes, writer.Finish(files_, path, segment->info()));
  auto opened = filter::OpenFieldFile(files_, path, *segment, schema.fields, account_);
  if (!opened.ok()) {
    files_.Remove(path).IgnoreError();  // unnamed: swept at the next open
    return opened.status();
  }
  built.fields = *std::move(opened);
  return built;
}

absl::Status LiveCollection::Impl::BuildMissingFields(const Schema& schema, const std::string& kind,
                                                      const Watch& watch,
                                                      std::vector<BuiltFields>& built) {
  const Missing missing = FindMissing(built);
  uint64_t done = missing.done;
  for (LivePart* part : missing.parts) {
    const Watch here = {
        .progress = [&](uint64_t row, uint64_t) { watch.Report(done + row, missing.rows); },
        .stopped = watch.stopped};
    MRL_ASSIGN_OR_RETURN(BuiltFields one, BuildFields(*part, schema, kind, here));
    built.push_back(std::move(one));
    done += part->rows();
  }
  watch.Report(done, missing.rows);
  return absl::OkStatus();
}

absl::Status LiveCollection::Impl::CommitFields(const Schema& schema,
                                                const std::vector<BuiltFields>& built) {
  absl::MutexLock lock(&write_mutex_);
  MRL_RETURN_IF_ERROR(CheckWritable());
  std::vector<std::pair<LivePart*, std::vector<filter::RowValues>>> tail;
  absl::MutexLock state_lock(&state_mutex_);
  for (const auto& part : parts_.parts()) {
    if (!part->is_tail() || part->rows() == 0) continue;
    std::vector<filter::RowValues> values;
    for (uint32_t row = 0; row < part->rows(); ++row) {
      MRL_ASSIGN_OR_RETURN(filter::RowValues one,
                           ReadRow(*part, *part->segment(), row, part->IsLive(row), schema.fields));
      MRL_RETURN_IF_ERROR(part->Reserve(filter::MemoryBytes(one)));
      values.push_back(std::move(one));
    }
    tail.emplace_back(part.get(), std::move(values));
  }
  Manifest next = *manifest_;
  ++next.generation;
  next.schema.fields = schema.fields;
  std::erase_if(next.side_files, [](const auto& file) { return IsFilterKind(file.kind); });
  for (const BuiltFields& one : built) next.side_files.push_back(one.file);
  Batch batch = database_->NewBatch();
  batch.PutManifest(next.Serialize());
  const absl::Status committed = database_->Commit(batch, /*sync=*/true);
  if (!committed.ok()) return Fail(committed);
  for (const auto& part : parts_.parts()) {
    if (part->is_tail() && part->rows() == 0) part->ReadFields(schema.fields, {});
  }
  for (auto& [part, values] : tail) part->ReadFields(schema.fields, values);
  for (const BuiltFields& one : built) parts_.FindSegment(one.file.segment)->SetFields(one.fields);
  parts_.SetFields(schema.fields);
  schema_ = std::make_shared<const Schema>(schema);
  manifest_ = std::make_shared<const Manifest>(std::move(next));
  version_ = nullptr;
  return absl::OkStatus();
}

absl::Status LiveCollection::Impl::SetFields(const std::vector<Field>& fields, const Watch& watch) {
  absl::MutexLock merge_lock(&merge_mutex_);
  std::shared_ptr<const Manifest> before;
  {
    absl::MutexLock lock(&state_mutex_);
    before = manifest_;
  }
  Schema changed = before->schema;
  changed.fields = fields;
  MRL_RETURN_IF_ERROR(changed.Validate());
  if (changed == before->schema) return absl::OkStatus();
  std::vector<BuiltFields> built;
  std::string kind;
  const auto build = [&]() -> absl::Status {
    // Most of it while the tail goes on being sealed; what came meanwhile with sealing stopped.
    kind = absl::StrCat(kFilterKindAgain, before->generation + 1);
    if (!fields.empty()) MRL_RETURN_IF_ERROR(BuildMissingFields(changed, kind, watch, built));
    absl::MutexLock seal_lock(&seal_mutex_);
    if (!fields.empty()) MRL_RETURN_IF_ERROR(BuildMissingFields(changed, kind, watch, built));
    {
      absl::MutexLock lock(&state_mutex_);
      before = manifest_;
    }
    return CommitFields(changed, built);
  };
  absl::Status done = build();
  if (!done.ok()) {
    absl::MutexLock lock(&write_mutex_);
    if (!failed_.ok()) return done;  // the commit may have been made: files stay until it is known
    for (const BuiltFields& one : built) {
      files_.Remove(SideFilePath(path_, one.file.segment, kind)).IgnoreError();
    }
    return done;
  }
  for (const Manifest::SideFile& file : before->side_files) {
    if (!IsFilterKind(file.kind)) continue;
    files_.Remove(SideFilePath(path_, file.segment, file.kind)).IgnoreError();  // swept otherwise
  }
  return done;
}

}  // namespace mrl::collection
