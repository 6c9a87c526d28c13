#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "index/format/manifest.h"
#include "index/format/section_file.h"
#include "index/store/id_column.h"
#include "index/store/level_codec.h"
#include "index/store/segment.h"
#include "index/store/segment_sections.h"
#include "index/store/stored_row.h"

namespace mrl::store {
namespace {

template <typename T>
absl::Span<const std::byte> BytesOf(const std::vector<T>& values) {
  return format::AsBytes(absl::MakeConstSpan(values));
}

}  // namespace

class SegmentWriter::Impl {
 public:
  Impl(const Schema& schema, const Options& options)
      : schema_(schema), options_(options), ids_(options.rows_max) {}

  absl::Status Create(FileSystem& files, const std::string& path);
  absl::Status Append(absl::Span<float> vectors, absl::Span<const PointId> ids,
                      absl::Span<const std::string> payloads,
                      absl::Span<const float> mean_deviation, absl::Span<const uint64_t> sequences);
  absl::StatusOr<SegmentInfo> Finish();
  IdColumn& ids() { return ids_; }
  uint32_t rows() const { return ids_.rows(); }

 private:
  absl::Status AppendLevels(absl::Span<float> vectors, size_t rows);
  absl::Status AppendNorms(absl::Span<const float> vectors, size_t rows);
  absl::Status AppendSequences(absl::Span<const uint64_t> sequences);
  absl::Status AppendPayloads(size_t rows, absl::Span<const std::string> payloads);
  absl::Status WriteIds();
  size_t SectionOf(absl::string_view name) const;

  const Schema schema_;
  const Options options_;
  std::unique_ptr<format::SectionFileWriter> file_;
  std::vector<std::string> sections_;
  IdColumn ids_;
  uint64_t payload_bytes_ = 0;
  uint64_t last_sequence_ = 0;
};

size_t SegmentWriter::Impl::SectionOf(absl::string_view name) const {
  const auto at = std::find(sections_.begin(), sections_.end(), name);
  CHECK(at != sections_.end());
  return static_cast<size_t>(at - sections_.begin());
}

absl::Status SegmentWriter::Impl::Create(FileSystem& files, const std::string& path) {
  const uint64_t rows = options_.rows_max;
  std::vector<format::SectionSpec> specs;
  for (size_t level = 0; level < schema_.levels(); ++level) {
    const uint64_t row_bytes = schema_.level_width(level) * ElementBytes(schema_.storage);
    // Small pages: who reads a row of a cold level for the first time checks the page around it.
    specs.push_back({.name = LevelSection(level),
                     .bytes_max = rows * row_bytes,
                     .page_bytes = format::kSmallPageBytes});
  }
  if (ScaleBytes(schema_.storage) > 0) {
    specs.push_back({.name = kScalesSection, .bytes_max = rows * schema_.levels() * sizeof(float)});
  }
  if (schema_.metric == Metric::kCosine) {
    specs.push_back({.name = kNormsSection, .bytes_max = rows * schema_.levels() * sizeof(float)});
  }
  if (options_.layer_norm) {
    specs.push_back({.name = kTransformSection, .bytes_max = rows * 2 * sizeof(float)});
  }
  if (options_.sequences) {
    specs.push_back({.name = kSequencesSection, .bytes_max = rows * sizeof(uint32_t)});
  }
  specs.push_back({.name = kIdValuesSection, .bytes_max = rows * sizeof(uint64_t)});
  specs.push_back({.name = kIdOrderSection, .bytes_max = rows * sizeof(uint32_t)});
  specs.push_back({.name = kPayloadOffsetsSection, .bytes_max = (rows + 1) * sizeof(uint64_t)});
  specs.push_back({.name = kPayloadsSection,
                   .bytes_max = format::kUnbounded,
                   .page_bytes = format::kSmallPageBytes});
  specs.push_back({.name = kIdLengthsSection, .bytes_max = format::kUnbounded});
  specs.push_back({.name = kIdHeapSection, .bytes_max = format::kUnbounded});
  for (const format::SectionSpec& spec : specs) sections_.push_back(spec.name);
  MRL_ASSIGN_OR_RETURN(file_, format::SectionFileWriter::Create(files, path, specs));
  const std::vector<uint64_t> first_offset = {0};
  return file_->Append(SectionOf(kPayloadOffsetsSection), BytesOf(first_offset));
}

absl::Status SegmentWriter::Impl::Append(absl::Span<float> vectors, absl::Span<const PointId> ids,
                                         absl::Span<const std::string> payloads,
                                         absl::Span<const float> mean_deviation,
                                         absl::Span<const uint64_t> sequences) {
  const size_t rows = ids.size();
  CHECK(vectors.size() == rows * schema_.dim);
  CHECK(payloads.empty() || payloads.size() == rows);
  CHECK(mean_deviation.size() == (options_.layer_norm ? 2 * rows : 0));
  CHECK(sequences.size() == (options_.sequences ? rows : 0));
  if (rows > options_.rows_max - ids_.rows()) {
    return absl::ResourceExhaustedError(absl::StrCat("the segment has room for ", options_.rows_max,
                                                     " rows; ", ids_.rows() + rows, " were given"));
  }
  MRL_RETURN_IF_ERROR(AppendLevels(vectors, rows));
  if (schema_.metric == Metric::kCosine) MRL_RETURN_IF_ERROR(AppendNorms(vectors, rows));
  if (options_.layer_norm) {
    MRL_RETURN_IF_ERROR(
        file_->Append(SectionOf(kTransformSection), format::AsBytes(mean_deviation)));
  }
  MRL_RETURN_IF_ERROR(AppendSequences(sequences));
  for (const PointId& id : ids) ids_.Append(id);
  return AppendPayloads(rows, payloads);
}

// Leaves in `vectors` what readers will see.
absl::Status SegmentWriter::Impl::AppendLevels(absl::Span<float> vectors, size_t rows) {
  std::vector<std::byte> encoded;
  std::vector<float> scales(rows * schema_.levels());
  for (size_t level = 0; level < schema_.levels(); ++level) {
    const size_t width = schema_.level_width(level);
    const size_t row_bytes = width * ElementBytes(schema_.storage);
    encoded.resize(rows * row_bytes);
    for (size_t row = 0; row < rows; ++row) {
      float* values = vectors.data() + row * schema_.dim + schema_.level_begin(level);
      std::byte* to = encoded.data() + row * row_bytes;
      const float scale = EncodeLevel(schema_.storage, values, width, to);
      if (schema_.storage != StorageType::kF32) {
        DecodeLevel(schema_.storage, to, scale, width, values);
      }
      scales[row * schema_.levels() + level] = scale;
    }
    MRL_RETURN_IF_ERROR(file_->Append(level, encoded));
  }
  if (ScaleBytes(schema_.storage) == 0) return absl::OkStatus();
  return file_->Append(SectionOf(kScalesSection), BytesOf(scales));
}

absl::Status SegmentWriter::Impl::AppendNorms(absl::Span<const float> vectors, size_t rows) {
  std::vector<float> norms(rows * schema_.levels());
  for (size_t row = 0; row < rows; ++row) {
    InverseNorms(schema_, vectors.data() + row * schema_.dim,
                 norms.data() + row * schema_.levels());
  }
  return file_->Append(SectionOf(kNormsSection), BytesOf(norms));
}

absl::Status SegmentWriter::Impl::AppendSequences(absl::Span<const uint64_t> sequences) {
  std::vector<uint32_t> above;
  above.reserve(sequences.size());
  for (const uint64_t sequence : sequences) {
    CHECK(sequence >= options_.first_sequence);
    CHECK(sequence - options_.first_sequence <= std::numeric_limits<uint32_t>::max());
    above.push_back(static_cast<uint32_t>(sequence - options_.first_sequence));
    last_sequence_ = sequence;
  }
  if (!options_.sequences) return absl::OkStatus();
  return file_->Append(SectionOf(kSequencesSection), BytesOf(above));
}

absl::Status SegmentWriter::Impl::AppendPayloads(size_t rows,
                                                 absl::Span<const std::string> payloads) {
  std::vector<uint64_t> offsets;
  for (size_t row = 0; row < rows; ++row) {
    if (!payloads.empty()) {
      payload_bytes_ += payloads[row].size();
      MRL_RETURN_IF_ERROR(file_->Append(
          SectionOf(kPayloadsSection),
          format::AsBytes(absl::MakeConstSpan(payloads[row].data(), payloads[row].size()))));
    }
    offsets.push_back(payload_bytes_);
  }
  return file_->Append(SectionOf(kPayloadOffsetsSection), BytesOf(offsets));
}

absl::Status SegmentWriter::Impl::WriteIds() {
  const absl::Span<const uint32_t> order = ids_.SortedRows();
  for (size_t i = 1; i < order.size(); ++i) {
    if (ids_.SameId(order[i - 1], order[i])) {
      return absl::AlreadyExistsError(
          absl::StrCat("id '", ids_.At(order[i]).ToString(), "' comes more than once"));
    }
  }
  MRL_RETURN_IF_ERROR(file_->Append(SectionOf(kIdValuesSection), BytesOf(ids_.Values())));
  MRL_RETURN_IF_ERROR(file_->Append(SectionOf(kIdOrderSection), format::AsBytes(order)));
  if (ids_.all_numbers()) return absl::OkStatus();
  MRL_RETURN_IF_ERROR(file_->Append(SectionOf(kIdLengthsSection), format::AsBytes(ids_.lengths())));
  for (const std::string& block : ids_.heap()) {
    MRL_RETURN_IF_ERROR(
        file_->Append(SectionOf(kIdHeapSection),
                      format::AsBytes(absl::MakeConstSpan(block.data(), block.size()))));
  }
  return absl::OkStatus();
}

absl::StatusOr<SegmentInfo> SegmentWriter::Impl::Finish() {
  MRL_RETURN_IF_ERROR(WriteIds());
  SegmentInfo info;
  info.number = options_.number;
  info.uuid = format::NewUuid();
  info.rows = rows();
  info.first_sequence = options_.first_sequence;
  info.last_sequence = last_sequence_;
  MRL_ASSIGN_OR_RETURN(info.file_bytes,
                       file_->Finish({.kind = format::FileKind::kSegment,
                                      .uuid = info.uuid,
                                      .bound_uuid = info.uuid,
                                      .schema_hash = format::SchemaHash(schema_)}));
  return info;
}

SegmentWriter::SegmentWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SegmentWriter::~SegmentWriter() = default;

absl::StatusOr<std::unique_ptr<SegmentWriter>> SegmentWriter::Create(FileSystem& files,
                                                                     const std::string& path,
                                                                     const Schema& schema,
                                                                     const Options& options) {
  auto impl = std::make_unique<Impl>(schema, options);
  MRL_RETURN_IF_ERROR(impl->Create(files, path));
  return std::unique_ptr<SegmentWriter>(new SegmentWriter(std::move(impl)));
}

absl::Status SegmentWriter::Append(absl::Span<float> vectors, absl::Span<const PointId> ids,
                                   absl::Span<const std::string> payloads,
                                   absl::Span<const float> mean_deviation,
                                   absl::Span<const uint64_t> sequences) {
  return impl_->Append(vectors, ids, payloads, mean_deviation, sequences);
}

uint32_t SegmentWriter::rows() const { return impl_->rows(); }
IdColumn& SegmentWriter::ids() { return impl_->ids(); }
absl::StatusOr<SegmentInfo> SegmentWriter::Finish() { return impl_->Finish(); }

}  // namespace mrl::store
