#include "index/store/segment.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/buffer.h"
#include "base/status.h"
#include "index/format/manifest.h"
#include "index/format/section_file.h"
#include "index/kernels/kernels.h"
#include "index/store/segment_sections.h"

namespace mrl::store {

class Segment::Impl {
 public:
  Impl(const SegmentInfo& info, const Schema& schema, std::string path)
      : info_(info), schema_(schema), path_(std::move(path)) {}

  absl::Status Open(FileSystem& files, MemoryAccount& account);

  const SegmentInfo info_;
  const Schema schema_;
  const std::string path_;
  std::unique_ptr<format::SectionFileReader> file_;
  MemoryAccount::Reservation reservation_;
  std::vector<Buffer> levels_;
  Buffer norms_;           // f32 [rows][levels]
  Buffer mean_deviation_;  // f32 [rows][2]
  Buffer id_values_;       // u64 [rows]
  Buffer id_lengths_;      // u16 [rows]; empty when all ids are numbers
  Buffer id_heap_;
  Buffer id_order_;         // u32 [rows]
  Buffer payload_offsets_;  // u64 [rows + 1]

  bool is_number(uint32_t row) const {
    return id_lengths_.size() == 0 || id_lengths_.As<uint16_t>()[row] == 0;
  }
  absl::string_view text(uint32_t row) const {
    return {id_heap_.As<char>() + id_values_.As<uint64_t>()[row], id_lengths_.As<uint16_t>()[row]};
  }
  // Below, equal to or above zero as the row's id stands to `id`.
  int Compare(uint32_t row, const PointId& id) const;

 private:
  absl::Status CheckFile() const;
  uint64_t MemoryBytes() const;
  absl::Status Load(absl::string_view section, uint64_t bytes, Buffer* out);
  absl::Status LoadRows();
  absl::Status LoadIds();
  absl::Status CheckIds() const;
  absl::Status CheckPayloads() const;
  absl::Status Damaged(absl::string_view section, absl::string_view what) const {
    return absl::DataLossError(absl::StrCat(path_, ": ", section, ": ", what));
  }
};

absl::Status Segment::Impl::Open(FileSystem& files, MemoryAccount& account) {
  MRL_ASSIGN_OR_RETURN(file_,
                       format::SectionFileReader::Open(files, path_, format::FileKind::kSegment));
  MRL_RETURN_IF_ERROR(CheckFile());
  MRL_ASSIGN_OR_RETURN(reservation_, account.Reserve(MemoryBytes(), path_));
  MRL_RETURN_IF_ERROR(LoadRows());
  return LoadIds();
}

absl::Status Segment::Impl::CheckFile() const {
  if (file_->header().uuid != info_.uuid) {
    return Damaged("header", "the file is not the one that the manifest names");
  }
  if (file_->header().schema_hash != format::SchemaHash(schema_)) {
    return Damaged("header", "the file was written for another schema");
  }
  if (file_->file_bytes() != info_.file_bytes || info_.rows == 0 || info_.rows > kRowsMax) {
    return Damaged("header", absl::StrCat("the file has ", file_->file_bytes(), " bytes; ",
                                          info_.file_bytes, " are in the manifest"));
  }
  return absl::OkStatus();
}

uint64_t Segment::Impl::MemoryBytes() const {
  uint64_t bytes = uint64_t{info_.rows} * schema_.dim * ElementBytes(schema_.storage);
  for (const char* section : {kNormsSection, kTransformSection, kIdValuesSection, kIdOrderSection,
                              kIdLengthsSection, kIdHeapSection, kPayloadOffsetsSection}) {
    bytes += file_->size(section);
  }
  return bytes;
}

absl::Status Segment::Impl::Load(absl::string_view section, uint64_t bytes, Buffer* out) {
  MRL_RETURN_IF_ERROR(file_->ExpectSize(section, bytes));
  MRL_ASSIGN_OR_RETURN(*out, Buffer::Allocate(bytes));
  return file_->Load(section, absl::MakeSpan(out->data(), out->size()));
}

absl::Status Segment::Impl::LoadRows() {
  const uint64_t rows = info_.rows;
  for (size_t level = 0; level < schema_.levels(); ++level) {
    const uint64_t row_bytes = schema_.level_width(level) * ElementBytes(schema_.storage);
    levels_.emplace_back();
    MRL_RETURN_IF_ERROR(Load(LevelSection(level), rows * row_bytes, &levels_.back()));
  }
  if (schema_.metric == Metric::kCosine) {
    MRL_RETURN_IF_ERROR(Load(kNormsSection, rows * schema_.levels() * sizeof(float), &norms_));
  }
  if (schema_.transform == Transform::kLayerNorm) {
    MRL_RETURN_IF_ERROR(Load(kTransformSection, rows * 2 * sizeof(float), &mean_deviation_));
  }
  MRL_RETURN_IF_ERROR(
      Load(kPayloadOffsetsSection, (rows + 1) * sizeof(uint64_t), &payload_offsets_));
  return CheckPayloads();
}

absl::Status Segment::Impl::CheckPayloads() const {
  const auto* offsets = payload_offsets_.As<uint64_t>();
  if (!std::is_sorted(offsets, offsets + info_.rows + 1) || offsets[0] != 0 ||
      offsets[info_.rows] != file_->size(kPayloadsSection)) {
    return Damaged(kPayloadOffsetsSection, "the offsets do not fit the payloads");
  }
  return absl::OkStatus();
}

absl::Status Segment::Impl::LoadIds() {
  const uint64_t rows = info_.rows;
  MRL_RETURN_IF_ERROR(Load(kIdValuesSection, rows * sizeof(uint64_t), &id_values_));
  MRL_RETURN_IF_ERROR(Load(kIdOrderSection, rows * sizeof(uint32_t), &id_order_));
  // Empty says that all ids are numbers; missing says nothing.
  const uint64_t lengths = file_->size(kIdLengthsSection) == 0 ? 0 : rows * sizeof(uint16_t);
  MRL_RETURN_IF_ERROR(Load(kIdLengthsSection, lengths, &id_lengths_));
  MRL_RETURN_IF_ERROR(Load(kIdHeapSection, file_->size(kIdHeapSection), &id_heap_));
  return CheckIds();
}

absl::Status Segment::Impl::CheckIds() const {
  for (uint32_t row = 0; row < info_.rows; ++row) {
    if (id_order_.As<uint32_t>()[row] >= info_.rows) {
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

int Segment::Impl::Compare(uint32_t row, const PointId& id) const {
  if (is_number(row) != id.is_number()) return is_number(row) ? -1 : 1;
  if (!id.is_number()) return text(row).compare(id.text());
  const uint64_t number = id_values_.As<uint64_t>()[row];
  return number < id.number() ? -1 : number > id.number() ? 1 : 0;
}

Segment::Segment(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Segment::~Segment() = default;

absl::StatusOr<std::shared_ptr<const Segment>> Segment::Open(FileSystem& files,
                                                             const std::string& path,
                                                             const SegmentInfo& info,
                                                             const Schema& schema,
                                                             MemoryAccount& account) {
  auto impl = std::make_unique<Impl>(info, schema, path);
  MRL_RETURN_IF_ERROR(impl->Open(files, account));
  return std::shared_ptr<const Segment>(new Segment(std::move(impl)));
}

const SegmentInfo& Segment::info() const { return impl_->info_; }
const Schema& Segment::schema() const { return impl_->schema_; }
uint32_t Segment::rows() const { return impl_->info_.rows; }
const void* Segment::Level(size_t level) const { return impl_->levels_[level].data(); }

const float* Segment::InverseNorms(uint32_t row) const {
  if (impl_->norms_.size() == 0) return nullptr;
  return impl_->norms_.As<float>() + size_t{row} * impl_->schema_.levels();
}

PointId Segment::Id(uint32_t row) const {
  if (impl_->is_number(row)) return PointId(impl_->id_values_.As<uint64_t>()[row]);
  return PointId(std::string(impl_->text(row)));
}

std::optional<uint32_t> Segment::Find(const PointId& id) const {
  const auto* begin = impl_->id_order_.As<uint32_t>();
  const auto* end = begin + rows();
  const auto* at = std::lower_bound(begin, end, id, [&](uint32_t row, const PointId& value) {
    return impl_->Compare(row, value) < 0;
  });
  if (at == end || impl_->Compare(*at, id) != 0) return std::nullopt;
  return *at;
}

bool Segment::IdLess(uint32_t a, uint32_t b) const {
  if (impl_->is_number(a) != impl_->is_number(b)) return impl_->is_number(a);
  if (!impl_->is_number(a)) return impl_->text(a) < impl_->text(b);
  return impl_->id_values_.As<uint64_t>()[a] < impl_->id_values_.As<uint64_t>()[b];
}

absl::StatusOr<std::string> Segment::Payload(uint32_t row) const {
  const auto* offsets = impl_->payload_offsets_.As<uint64_t>();
  std::string text(offsets[row + 1] - offsets[row], '\0');
  MRL_RETURN_IF_ERROR(
      impl_->file_->Read(kPayloadsSection, offsets[row],
                         absl::MakeSpan(reinterpret_cast<std::byte*>(text.data()), text.size())));
  return text;
}

void Segment::Prefix(uint32_t row, size_t level, float* out) const {
  for (size_t i = 0; i <= level; ++i) {
    const size_t width = schema().level_width(i);
    if (schema().storage == StorageType::kF16) {
      const auto* source = static_cast<const uint16_t*>(Level(i)) + row * width;
      kernels::Active().f16_to_f32(source, width, out);
    } else {
      std::copy_n(static_cast<const float*>(Level(i)) + row * width, width, out);
    }
    out += width;
  }
}

void Segment::Vector(uint32_t row, float* out) const {
  Prefix(row, schema().levels() - 1, out);
  if (schema().transform != Transform::kLayerNorm) return;
  const float mean = impl_->mean_deviation_.As<float>()[2 * size_t{row}];
  const float deviation = impl_->mean_deviation_.As<float>()[2 * size_t{row} + 1];
  for (uint32_t i = 0; i < schema().dim; ++i) out[i] = out[i] * deviation + mean;
}

Segment::Memory Segment::memory() const {
  Memory memory;
  for (const Buffer& level : impl_->levels_) memory.levels += level.size();
  memory.norms = impl_->norms_.size();
  memory.ids = impl_->id_values_.size() + impl_->id_lengths_.size() + impl_->id_heap_.size() +
               impl_->id_order_.size();
  memory.other = impl_->mean_deviation_.size() + impl_->payload_offsets_.size();
  return memory;
}

}  // namespace mrl::store
