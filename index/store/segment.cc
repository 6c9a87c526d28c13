#include "index/store/segment.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/buffer.h"
#include "base/status.h"
#include "index/format/manifest.h"
#include "index/format/mapped_section.h"
#include "index/format/section_file.h"
#include "index/store/level_codec.h"
#include "index/store/segment_sections.h"
#include "index/transform/transform.h"

namespace mrl::store {
namespace {

class FileSegment final : public Segment {
 public:
  FileSegment(const SegmentInfo& info, const Schema& schema, std::string path, size_t hot_levels)
      : Segment(info, schema, hot_levels), path_(std::move(path)) {}

  absl::Status Open(FileSystem& files, MemoryAccount& account);

  uint64_t Sequence(uint32_t row) const override {
    return info().first_sequence + (sequences_.size() == 0 ? row : sequences_.As<uint32_t>()[row]);
  }
  PointId Id(uint32_t row) const override {
    if (is_number(row)) return PointId(id_values_.As<uint64_t>()[row]);
    return PointId(std::string(text(row)));
  }
  std::optional<uint32_t> Find(const PointId& id) const override;
  bool IdLess(uint32_t a, uint32_t b) const override;
  absl::StatusOr<std::string> Payload(uint32_t row) const override;
  Memory memory() const override;

 private:
  bool is_number(uint32_t row) const {
    return id_lengths_.size() == 0 || id_lengths_.As<uint16_t>()[row] == 0;
  }
  absl::string_view text(uint32_t row) const {
    return {id_heap_.As<char>() + id_values_.As<uint64_t>()[row], id_lengths_.As<uint16_t>()[row]};
  }
  // Below, equal to or above zero as the row's id stands to `id`.
  int Compare(uint32_t row, const PointId& id) const;

  absl::Status FetchCold(size_t from, size_t to, absl::Span<const uint32_t> rows) const override;
  absl::Status FetchColdRange(size_t from, size_t to, uint32_t begin, uint32_t end) const override;
  absl::Status CheckColdRead(size_t to) const override;

  absl::Status CheckFile() const;
  uint64_t MemoryBytes() const;
  uint64_t RowBytes(size_t level) const {
    return schema().level_width(level) * ElementBytes(schema().storage);
  }
  absl::Status Load(absl::string_view section, uint64_t bytes, Buffer* out);
  absl::Status LoadLevels(Arrays* arrays);
  absl::Status LoadRows();
  absl::Status LoadSequences();
  absl::Status LoadIds();
  absl::Status CheckIds() const;
  absl::Status CheckPayloads() const;
  absl::Status Damaged(absl::string_view section, absl::string_view what) const {
    return absl::DataLossError(absl::StrCat(path_, ": ", section, ": ", what));
  }

  const std::string path_;
  std::unique_ptr<format::SectionFileReader> file_;
  MemoryAccount::Reservation reservation_;
  std::vector<Buffer> levels_;                                // the hot ones
  std::vector<std::unique_ptr<format::MappedSection>> cold_;  // the others
  Buffer scales_;                                             // f32 [rows][levels]
  Buffer norms_;                                              // f32 [rows][levels]
  Buffer mean_deviation_;                                     // f32 [rows][2]
  Buffer sequences_;   // u32 [rows]; empty when no number is left out
  Buffer id_values_;   // u64 [rows]
  Buffer id_lengths_;  // u16 [rows]; empty when all ids are numbers
  Buffer id_heap_;
  Buffer id_order_;         // u32 [rows]
  Buffer payload_offsets_;  // u64 [rows + 1]
};

absl::Status FileSegment::Open(FileSystem& files, MemoryAccount& account) {
  MRL_ASSIGN_OR_RETURN(file_,
                       format::SectionFileReader::Open(files, path_, format::FileKind::kSegment));
  MRL_RETURN_IF_ERROR(CheckFile());
  MRL_ASSIGN_OR_RETURN(reservation_, account.Reserve(MemoryBytes(), path_));
  MRL_RETURN_IF_ERROR(LoadRows());
  MRL_RETURN_IF_ERROR(LoadSequences());
  return LoadIds();
}

absl::Status FileSegment::CheckFile() const {
  if (file_->header().uuid != info().uuid) {
    return Damaged("header", "the file is not the one that the manifest names");
  }
  if (file_->header().schema_hash != format::SchemaHash(schema())) {
    return Damaged("header", "the file was written for another schema");
  }
  if (file_->file_bytes() != info().file_bytes || rows() == 0 || rows() > kRowsMax) {
    return Damaged("header", absl::StrCat("the file has ", file_->file_bytes(), " bytes; ",
                                          info().file_bytes, " are in the manifest"));
  }
  return absl::OkStatus();
}

uint64_t FileSegment::MemoryBytes() const {
  uint64_t bytes = 0;
  for (size_t level = 0; level < hot_levels(); ++level) bytes += rows() * RowBytes(level);
  for (const char* section :
       {kScalesSection, kNormsSection, kTransformSection, kSequencesSection, kIdValuesSection,
        kIdOrderSection, kIdLengthsSection, kIdHeapSection, kPayloadOffsetsSection}) {
    bytes += file_->size(section);
  }
  return bytes;
}

absl::Status FileSegment::Load(absl::string_view section, uint64_t bytes, Buffer* out) {
  MRL_RETURN_IF_ERROR(file_->ExpectSize(section, bytes));
  MRL_ASSIGN_OR_RETURN(*out, Buffer::Allocate(bytes));
  return file_->Load(section, absl::MakeSpan(out->data(), out->size()));
}

absl::Status FileSegment::LoadLevels(Arrays* arrays) {
  for (size_t level = 0; level < schema().levels(); ++level) {
    const uint64_t bytes = rows() * RowBytes(level);
    if (level < hot_levels()) {
      levels_.emplace_back();
      MRL_RETURN_IF_ERROR(Load(LevelSection(level), bytes, &levels_.back()));
      arrays->levels.push_back(levels_.back().data());
    } else {
      MRL_ASSIGN_OR_RETURN(auto cold,
                           format::MappedSection::Map(*file_, LevelSection(level), bytes));
      arrays->levels.push_back(cold->data());
      cold_.push_back(std::move(cold));
    }
  }
  return absl::OkStatus();
}

absl::Status FileSegment::LoadRows() {
  Arrays arrays;
  MRL_RETURN_IF_ERROR(LoadLevels(&arrays));
  if (ScaleBytes(schema().storage) > 0) {
    MRL_RETURN_IF_ERROR(Load(kScalesSection, rows() * schema().levels() * sizeof(float), &scales_));
    arrays.scales = scales_.As<float>();
  }
  if (schema().metric == Metric::kCosine) {
    MRL_RETURN_IF_ERROR(Load(kNormsSection, rows() * schema().levels() * sizeof(float), &norms_));
    arrays.inverse_norms = norms_.As<float>();
  }
  if (schema().transform == Transform::kLayerNorm) {
    MRL_RETURN_IF_ERROR(
        Load(kTransformSection, uint64_t{rows()} * 2 * sizeof(float), &mean_deviation_));
    arrays.mean_deviation = mean_deviation_.As<float>();
  }
  SetArrays(std::move(arrays));
  MRL_RETURN_IF_ERROR(
      Load(kPayloadOffsetsSection, (uint64_t{rows()} + 1) * sizeof(uint64_t), &payload_offsets_));
  return CheckPayloads();
}

absl::Status FileSegment::LoadSequences() {
  if (file_->size(kSequencesSection) > 0) {
    MRL_RETURN_IF_ERROR(Load(kSequencesSection, uint64_t{rows()} * sizeof(uint32_t), &sequences_));
    const auto* above = sequences_.As<uint32_t>();
    // Not above the one before would be a number that two rows share.
    if (above[0] != 0 ||
        std::adjacent_find(above, above + rows(), std::greater_equal<>()) != above + rows()) {
      return Damaged(kSequencesSection, "the numbers do not rise");
    }
  }
  if (Sequence(rows() - 1) + 1 != info().end_sequence()) {
    return Damaged(kSequencesSection,
                   absl::StrCat("the last number is ", Sequence(rows() - 1), "; ",
                                info().end_sequence() - 1, " is in the manifest"));
  }
  return absl::OkStatus();
}

absl::Status FileSegment::CheckPayloads() const {
  const auto* offsets = payload_offsets_.As<uint64_t>();
  if (!std::is_sorted(offsets, offsets + rows() + 1) || offsets[0] != 0 ||
      offsets[rows()] != file_->size(kPayloadsSection)) {
    return Damaged(kPayloadOffsetsSection, "the offsets do not fit the payloads");
  }
  return absl::OkStatus();
}

absl::Status FileSegment::LoadIds() {
  const uint64_t count = rows();
  MRL_RETURN_IF_ERROR(Load(kIdValuesSection, count * sizeof(uint64_t), &id_values_));
  MRL_RETURN_IF_ERROR(Load(kIdOrderSection, count * sizeof(uint32_t), &id_order_));
  // Empty says that all ids are numbers; missing says nothing.
  const uint64_t lengths = file_->size(kIdLengthsSection) == 0 ? 0 : count * sizeof(uint16_t);
  MRL_RETURN_IF_ERROR(Load(kIdLengthsSection, lengths, &id_lengths_));
  MRL_RETURN_IF_ERROR(Load(kIdHeapSection, file_->size(kIdHeapSection), &id_heap_));
  return CheckIds();
}

absl::Status FileSegment::CheckIds() const {
  for (uint32_t row = 0; row < rows(); ++row) {
    if (id_order_.As<uint32_t>()[row] >= rows()) {
      return Damaged(kIdOrderSection, "a row is out of range");
    }
    if (is_number(row)) continue;
    const uint64_t offset = id_values_.As<uint64_t>()[row];
    if (offset > id_heap_.size() || id_lengths_.As<uint16_t>()[row] > id_heap_.size() - offset) {
      return Damaged(kIdValuesSection, "an id lies outside the heap");
    }
  }
  return absl::OkStatus();
}

int FileSegment::Compare(uint32_t row, const PointId& id) const {
  if (is_number(row) != id.is_number()) return is_number(row) ? -1 : 1;
  if (!id.is_number()) return text(row).compare(id.text());
  const uint64_t number = id_values_.As<uint64_t>()[row];
  return number < id.number() ? -1 : number > id.number() ? 1 : 0;
}

std::optional<uint32_t> FileSegment::Find(const PointId& id) const {
  const auto* begin = id_order_.As<uint32_t>();
  const auto* end = begin + rows();
  const auto* at = std::lower_bound(
      begin, end, id, [&](uint32_t row, const PointId& value) { return Compare(row, value) < 0; });
  if (at == end || Compare(*at, id) != 0) return std::nullopt;
  return *at;
}

bool FileSegment::IdLess(uint32_t a, uint32_t b) const {
  if (is_number(a) != is_number(b)) return is_number(a);
  if (!is_number(a)) return text(a) < text(b);
  return id_values_.As<uint64_t>()[a] < id_values_.As<uint64_t>()[b];
}

absl::StatusOr<std::string> FileSegment::Payload(uint32_t row) const {
  const auto* offsets = payload_offsets_.As<uint64_t>();
  std::string payload(offsets[row + 1] - offsets[row], '\0');
  MRL_RETURN_IF_ERROR(
      file_->Read(kPayloadsSection, offsets[row],
                  absl::MakeSpan(reinterpret_cast<std::byte*>(payload.data()), payload.size())));
  return payload;
}

absl::Status FileSegment::FetchCold(size_t from, size_t to, absl::Span<const uint32_t> rows) const {
  std::vector<format::MappedSection::Range> ranges(rows.size());
  for (size_t level = std::max(from, hot_levels()); level <= to; ++level) {
    const uint64_t bytes = RowBytes(level);
    for (size_t i = 0; i < rows.size(); ++i) ranges[i] = {rows[i] * bytes, (rows[i] + 1) * bytes};
    MRL_RETURN_IF_ERROR(cold_[level - hot_levels()]->Fetch(ranges));
  }
  return absl::OkStatus();
}

absl::Status FileSegment::FetchColdRange(size_t from, size_t to, uint32_t begin,
                                         uint32_t end) const {
  for (size_t level = std::max(from, hot_levels()); level <= to; ++level) {
    const format::MappedSection::Range range = {begin * RowBytes(level), end * RowBytes(level)};
    MRL_RETURN_IF_ERROR(cold_[level - hot_levels()]->Fetch({&range, 1}));
  }
  return absl::OkStatus();
}

absl::Status FileSegment::CheckColdRead(size_t to) const {
  for (size_t level = hot_levels(); level <= to; ++level) {
    MRL_RETURN_IF_ERROR(cold_[level - hot_levels()]->CheckRead());
  }
  return absl::OkStatus();
}

Segment::Memory FileSegment::memory() const {
  Memory memory;
  for (const Buffer& level : levels_) memory.levels += level.size();
  memory.levels += scales_.size();
  memory.norms = norms_.size();
  memory.ids = id_values_.size() + id_lengths_.size() + id_heap_.size() + id_order_.size();
  memory.other = mean_deviation_.size() + sequences_.size() + payload_offsets_.size();
  return memory;
}

size_t HotLevels(const Schema& schema, uint32_t hot_dims) {
  if (hot_dims == 0) return schema.levels();
  const auto end = std::upper_bound(schema.ladder.begin(), schema.ladder.end(), hot_dims);
  return static_cast<size_t>(end - schema.ladder.begin());
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Segment>> Segment::Open(
    FileSystem& files, const std::string& path, const SegmentInfo& info, const Schema& schema,
    MemoryAccount& account, uint32_t hot_dims) {
  auto segment = std::make_shared<FileSegment>(info, schema, path, HotLevels(schema, hot_dims));
  MRL_RETURN_IF_ERROR(segment->Open(files, account));
  return segment;
}

uint32_t Segment::RowAfter(uint64_t sequence) const {
  uint32_t begin = 0;
  uint32_t end = rows();
  while (begin < end) {
    const uint32_t middle = begin + (end - begin) / 2;
    if (Sequence(middle) > sequence) {
      end = middle;
    } else {
      begin = middle + 1;
    }
  }
  return begin;
}

absl::Status Segment::FetchCold(size_t, size_t, absl::Span<const uint32_t>) const {
  return absl::OkStatus();
}
absl::Status Segment::FetchColdRange(size_t, size_t, uint32_t, uint32_t) const {
  return absl::OkStatus();
}
absl::Status Segment::CheckColdRead(size_t) const { return absl::OkStatus(); }

uint64_t Segment::ColdRowBytes(size_t from, size_t to) const {
  uint64_t bytes = 0;
  for (size_t level = std::max(from, hot_levels_); level <= to; ++level) {
    bytes += schema_.level_width(level) * ElementBytes(schema_.storage);
  }
  return bytes;
}

absl::Status Segment::Prefix(uint32_t row, size_t level, float* out) const {
  MRL_RETURN_IF_ERROR(FetchRange(0, level, row, row + 1));
  const float* scales = Scales(row);
  for (size_t i = 0; i <= level; ++i) {
    const size_t width = schema_.level_width(i);
    const auto* data = static_cast<const std::byte*>(Level(i));
    DecodeLevel(schema_.storage, data + row * width * ElementBytes(schema_.storage),
                scales == nullptr ? 1 : scales[i], width, out);
    out += width;
  }
  return CheckRead(level);
}

absl::Status Segment::Vector(uint32_t row, float* out) const {
  MRL_RETURN_IF_ERROR(Prefix(row, schema_.levels() - 1, out));
  transform::Undo(schema_, MeanDeviation(row), out);
  return absl::OkStatus();
}

}  // namespace mrl::store
