#include "index/collection/segment_build.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "index/coarse/coarse.h"
#include "index/coarse/exact_scan.h"
#include "index/collection/layout.h"
#include "index/filter/field_file.h"
#include "index/filter/payload_values.h"

namespace mrl::collection {
namespace {

constexpr uint32_t kChunkRows = 1024;

const uint64_t* BitsOf(const BuildInput& input) {
  return input.live == nullptr ? nullptr : input.live->data();
}

// Gathers rows into chunks for the two writers.
class RowCopier {
 public:
  RowCopier(const Schema& schema, store::SegmentWriter& rows, coarse::ScanWriter& codes,
            filter::FieldFileWriter& fields)
      : schema_(schema), rows_(rows), codes_(codes), fields_(fields) {}

  absl::Status Add(const store::Segment& segment, uint32_t row) {
    vectors_.resize(vectors_.size() + schema_.dim);
    MRL_RETURN_IF_ERROR(
        segment.Prefix(row, schema_.levels() - 1, vectors_.data() + vectors_.size() - schema_.dim));
    ids_.push_back(segment.Id(row));
    MRL_ASSIGN_OR_RETURN(std::string payload, segment.Payload(row));
    MRL_ASSIGN_OR_RETURN(const filter::RowValues values,
                         filter::ReadValues(schema_.fields, payload));
    fields_.Append(values);
    payloads_.push_back(std::move(payload));
    sequences_.push_back(segment.Sequence(row));
    if (const float* moments = segment.MeanDeviation(row)) {
      moments_.insert(moments_.end(), moments, moments + 2);
    }
    return ids_.size() < kChunkRows ? absl::OkStatus() : Flush();
  }

  absl::Status Flush() {
    if (ids_.empty()) return absl::OkStatus();
    MRL_RETURN_IF_ERROR(
        rows_.Append(absl::MakeSpan(vectors_), ids_, payloads_, moments_, sequences_));
    MRL_RETURN_IF_ERROR(codes_.Append(vectors_));
    vectors_.clear();
    ids_.clear();
    payloads_.clear();
    moments_.clear();
    sequences_.clear();
    return absl::OkStatus();
  }

 private:
  const Schema& schema_;
  store::SegmentWriter& rows_;
  coarse::ScanWriter& codes_;
  filter::FieldFileWriter& fields_;
  std::vector<float> vectors_;
  std::vector<PointId> ids_;
  std::vector<std::string> payloads_;
  std::vector<float> moments_;
  std::vector<uint64_t> sequences_;
};

absl::Status CopyRows(absl::Span<const BuildInput> inputs, uint64_t rows, const Watch& watch,
                      RowCopier& copier) {
  uint64_t done = 0;
  for (const BuildInput& input : inputs) {
    const size_t last_level = input.segment->schema().levels() - 1;
    const uint32_t input_rows = input.segment->rows();
    for (uint32_t row = 0; row < input_rows; ++row) {
      if (row % kChunkRows == 0) {
        const auto end = std::min<uint32_t>(input_rows, row + kChunkRows);
        MRL_RETURN_IF_ERROR(input.segment->FetchRange(0, last_level, row, end));
      }
      if (!coarse::IsAllowed(BitsOf(input), row)) continue;
      if (done % kChunkRows == 0) {
        watch.Report(done, rows);
        MRL_RETURN_IF_ERROR(watch.Check("writing a segment"));
      }
      ++done;
      MRL_RETURN_IF_ERROR(copier.Add(*input.segment, row));
    }
  }
  return copier.Flush();
}

absl::Status FinishSideFiles(FileSystem& files, const std::string& path, coarse::ScanWriter& scan,
                             filter::FieldFileWriter& fields, const Schema& schema,
                             BuiltSegment* built) {
  const uint32_t number = built->info.number;
  MRL_RETURN_IF_ERROR(scan.Finish(built->info));
  MRL_ASSIGN_OR_RETURN(const auto file, files.Open(SideFilePath(path, number, "scan")));
  built->side_files.push_back({number, "scan", file->size()});
  if (schema.fields.empty()) return absl::OkStatus();
  MRL_ASSIGN_OR_RETURN(const uint64_t filter_bytes,
                       fields.Finish(files, SideFilePath(path, number, kFilterKind), built->info));
  built->side_files.push_back({number, kFilterKind, filter_bytes});
  return absl::OkStatus();
}

}  // namespace

void ForEachBuiltRow(absl::Span<const BuildInput> inputs,
                     const std::function<void(const BuildInput&, uint32_t, uint32_t)>& visit) {
  uint32_t new_row = 0;
  for (const BuildInput& input : inputs) {
    for (uint32_t row = 0; row < input.segment->rows(); ++row) {
      if (coarse::IsAllowed(BitsOf(input), row)) visit(input, row, new_row++);
    }
  }
}

absl::StatusOr<std::optional<BuiltSegment>> BuildSegment(FileSystem& files, const std::string& path,
                                                         const Schema& schema, uint32_t number,
                                                         absl::Span<const BuildInput> inputs,
                                                         const Watch& watch) {
  uint64_t rows = 0;
  store::SegmentWriter::Options options;
  ForEachBuiltRow(inputs, [&](const BuildInput& input, uint32_t row, uint32_t) {
    if (rows++ == 0) options.first_sequence = input.segment->Sequence(row);
  });
  if (rows == 0) return std::optional<BuiltSegment>();
  options.number = number;
  options.rows_max = static_cast<uint32_t>(rows);
  options.layer_norm = schema.transform == Transform::kLayerNorm;
  options.sequences = true;
  const std::string scan_path = SideFilePath(path, number, "scan");
  MRL_ASSIGN_OR_RETURN(const auto segment, store::SegmentWriter::Create(
                                               files, SegmentPath(path, number), schema, options));
  MRL_ASSIGN_OR_RETURN(const auto scan,
                       coarse::ScanWriter::Create(files, scan_path, schema, options.rows_max));
  filter::FieldFileWriter fields(schema);
  RowCopier copier(schema, *segment, *scan, fields);
  MRL_RETURN_IF_ERROR(CopyRows(inputs, rows, watch, copier));
  BuiltSegment built;
  MRL_ASSIGN_OR_RETURN(built.info, segment->Finish());
  const absl::Status finished = FinishSideFiles(files, path, *scan, fields, schema, &built);
  if (!finished.ok()) {
    // What is left is unnamed: it is swept at the next open, if not now.
    files.Remove(SegmentPath(path, number)).IgnoreError();
    files.Remove(scan_path).IgnoreError();
    return finished;
  }
  return std::optional<BuiltSegment>(std::move(built));
}

}  // namespace mrl::collection
