#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/for_each.h"
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

constexpr size_t kPieceRows = 64;  // that one thread encodes at a time

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
  absl::StatusOr<format::Pieces> Encode(absl::Span<float> vectors, absl::Span<const PointId> ids,
                                        absl::Span<const std::string> payloads,
                                        absl::Span<const float> mean_deviation,
                                        absl::Span<const uint64_t> sequences);
  absl::Status Write(const format::Pieces& pieces) { return file_->Append(pieces); }
  void StartSync() { file_->StartSync(); }
  absl::StatusOr<SegmentInfo> Finish();
  IdColumn& ids() { return ids_; }
  uint32_t rows() const { return ids_.rows(); }

 private:
  // Where the values of a chunk go: one piece per level, that of the scales, that of the norms.
  struct Values {
    format::Pieces levels;
    std::vector<float> scales, norms;  // rows x levels
  };
  Values EncodeValues(absl::Span<float> vectors, size_t rows) const;
  void EncodeRows(float* vectors, size_t begin, size_t end, Values& out) const;
  format::Piece PieceOf(absl::string_view section, absl::Span<const std::byte> bytes) const;
  format::Piece EncodeSequences(absl::Span<const uint64_t> sequences);
  void EncodePayloads(size_t rows, absl::Span<const std::string> payloads, format::Pieces& out);
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

absl::StatusOr<format::Pieces> SegmentWriter::Impl::Encode(absl::Span<float> vectors,
                                                           absl::Span<const PointId> ids,
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
  Values values = EncodeValues(vectors, rows);
  format::Pieces pieces = std::move(values.levels);
  if (!values.scales.empty()) pieces.push_back(PieceOf(kScalesSection, BytesOf(values.scales)));
  if (!values.norms.empty()) pieces.push_back(PieceOf(kNormsSection, BytesOf(values.norms)));
  if (options_.layer_norm) {
    pieces.push_back(PieceOf(kTransformSection, format::AsBytes(mean_deviation)));
  }
  if (options_.sequences) pieces.push_back(EncodeSequences(sequences));
  for (const PointId& id : ids) ids_.Append(id);
  EncodePayloads(rows, payloads, pieces);
  return pieces;
}

// Leaves in `vectors` what readers will see.
SegmentWriter::Impl::Values SegmentWriter::Impl::EncodeValues(absl::Span<float> vectors,
                                                              size_t rows) const {
  Values out;
  for (size_t level = 0; level < schema_.levels(); ++level) {
    const size_t row_bytes = schema_.level_width(level) * ElementBytes(schema_.storage);
    out.levels.push_back({level, std::vector<std::byte>(rows * row_bytes)});
  }
  if (ScaleBytes(schema_.storage) > 0) out.scales.resize(rows * schema_.levels());
  if (schema_.metric == Metric::kCosine) out.norms.resize(rows * schema_.levels());
  ForEachRange(rows, kPieceRows, options_.threads,
               [&](size_t begin, size_t end) { EncodeRows(vectors.data(), begin, end, out); });
  return out;
}

void SegmentWriter::Impl::EncodeRows(float* vectors, size_t begin, size_t end, Values& out) const {
  for (size_t level = 0; level < schema_.levels(); ++level) {
    const size_t width = schema_.level_width(level);
    const size_t row_bytes = width * ElementBytes(schema_.storage);
    for (size_t row = begin; row < end; ++row) {
      float* values = vectors + row * schema_.dim + schema_.level_begin(level);
      std::byte* to = out.levels[level].bytes.data() + row * row_bytes;
      const float scale = EncodeLevel(schema_.storage, values, width, to);
      if (schema_.storage != StorageType::kF32) {
        DecodeLevel(schema_.storage, to, scale, width, values);
      }
      if (!out.scales.empty()) out.scales[row * schema_.levels() + level] = scale;
    }
  }
  if (out.norms.empty()) return;
  InverseNorms(schema_, vectors + begin * schema_.dim, end - begin,
               out.norms.data() + begin * schema_.levels());
}

format::Piece SegmentWriter::Impl::PieceOf(absl::string_view section,
                                           absl::Span<const std::byte> bytes) const {
  return {SectionOf(section), {bytes.begin(), bytes.end()}};
}

format::Piece SegmentWriter::Impl::EncodeSequences(absl::Span<const uint64_t> sequences) {
  std::vector<uint32_t> above;
  above.reserve(sequences.size());
  for (const uint64_t sequence : sequences) {
    CHECK(sequence >= options_.first_sequence);
    CHECK(sequence - options_.first_sequence <= std::numeric_limits<uint32_t>::max());
    above.push_back(static_cast<uint32_t>(sequence - options_.first_sequence));
    last_sequence_ = sequence;
  }
  return PieceOf(kSequencesSection, BytesOf(above));
}

void SegmentWriter::Impl::EncodePayloads(size_t rows, absl::Span<const std::string> payloads,
                                         format::Pieces& out) {
  format::Piece texts = PieceOf(kPayloadsSection, {});
  std::vector<uint64_t> offsets;
  offsets.reserve(rows);
  for (size_t row = 0; row < rows; ++row) {
    if (!payloads.empty()) {
      const auto text = format::AsBytes(absl::MakeConstSpan(payloads[row]));
      texts.bytes.insert(texts.bytes.end(), text.begin(), text.end());
      payload_bytes_ += text.size();
    }
    offsets.push_back(payload_bytes_);
  }
  out.push_back(PieceOf(kPayloadOffsetsSection, BytesOf(offsets)));
  // Without payloads their section is not begun.
  if (!texts.bytes.empty()) out.push_back(std::move(texts));
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
  MRL_ASSIGN_OR_RETURN(const format::Pieces pieces,
                       Encode(vectors, ids, payloads, mean_deviation, sequences));
  return impl_->Write(pieces);
}

absl::StatusOr<format::Pieces> SegmentWriter::Encode(absl::Span<float> vectors,
                                                     absl::Span<const PointId> ids,
                                                     absl::Span<const std::string> payloads,
                                                     absl::Span<const float> mean_deviation,
                                                     absl::Span<const uint64_t> sequences) {
  return impl_->Encode(vectors, ids, payloads, mean_deviation, sequences);
}

absl::Status SegmentWriter::Write(const format::Pieces& pieces) {
  MRL_RETURN_IF_ERROR(impl_->Write(pieces));
  impl_->StartSync();
  return absl::OkStatus();
}

uint32_t SegmentWriter::rows() const { return impl_->rows(); }
IdColumn& SegmentWriter::ids() { return impl_->ids(); }
absl::StatusOr<SegmentInfo> SegmentWriter::Finish() { return impl_->Finish(); }

}  // namespace mrl::store
