#include "index/coarse/gpu/device_segment.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace mrl::coarse::gpu {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

// The bits of a segment by blocks of 64 rows: 32 bits of each row of the block, then the next 32.
std::vector<uint32_t> ByBlocks(const BitArray& array) {
  const size_t row_halves = 2 * BitWords(array.code());
  std::vector<uint32_t> out(BlockCount(array.rows()) * row_halves * kCodeRows);
  for (uint32_t row = 0; row < array.rows(); ++row) {
    const uint64_t* words = array.words() + row * (row_halves / 2);
    uint32_t* block = out.data() + size_t{row / kCodeRows} * row_halves * kCodeRows;
    for (size_t h = 0; h < row_halves; ++h) {
      block[h * kCodeRows + row % kCodeRows] = static_cast<uint32_t>(words[h / 2] >> (h % 2 * 32));
    }
  }
  return out;
}

}  // namespace

DeviceSegment::DeviceSegment(Device& device, const ScanIndex& scan)
    : device_(device), scan_(scan), serial_(device.NextSerial()) {}

absl::StatusOr<std::unique_ptr<const DeviceSegment>> DeviceSegment::Load(Device& device,
                                                                         const ScanIndex& scan) {
  std::unique_ptr<DeviceSegment> loaded(new DeviceSegment(device, scan));
  MRL_RETURN_IF_ERROR(loaded->LoadCodes());
  const absl::Status levels = loaded->LoadLevels();
  if (absl::IsResourceExhausted(levels)) {
    loaded->DropLevels();  // the codes are worth having alone
  } else if (!levels.ok()) {
    return levels;
  }
  return loaded;
}

absl::StatusOr<Memory> DeviceSegment::Copy(const void* host, size_t bytes, absl::string_view what) {
  MRL_ASSIGN_OR_RETURN(
      Memory memory,
      device_.Allocate(bytes, absl::StrCat("segment ", segment().info().number, ": ", what)));
  if (bytes > 0) MRL_RETURN_IF_ERROR(device_.Upload(memory.As<void>(), host, bytes));
  device_bytes_ += bytes;
  return memory;
}

absl::Status DeviceSegment::LoadCodes() {
  uint64_t bytes = 0;
  for (const CodeArray& array : scan_.arrays()) {
    bytes += array.codes.size() + array.blocks.size() + array.row_bias.size();
  }
  for (const BitArray& array : scan_.bit_arrays()) {
    bytes += BlockCount(array.rows()) * kCodeRows * BitWords(array.code()) * sizeof(uint64_t);
  }
  MRL_RETURN_IF_ERROR(
      device_.CheckRoom(bytes, absl::StrCat("segment ", segment().info().number, ": codes")));
  for (const CodeArray& array : scan_.arrays()) MRL_RETURN_IF_ERROR(LoadInt8(array));
  for (const BitArray& array : scan_.bit_arrays()) MRL_RETURN_IF_ERROR(LoadBits(array));
  return absl::OkStatus();
}

absl::Status DeviceSegment::LoadInt8(const CodeArray& array) {
  MRL_ASSIGN_OR_RETURN(Memory words, Copy(array.codes.data(), array.codes.size(), "codes"));
  MRL_ASSIGN_OR_RETURN(Memory blocks, Copy(array.blocks.data(), array.blocks.size(), "codes"));
  MRL_ASSIGN_OR_RETURN(Memory bias, Copy(array.row_bias.data(), array.row_bias.size(), "codes"));
  Coded& coded = coded_.emplace_back();
  coded.code = array.code;
  coded.codes = {.words = words.As<uint32_t>(),
                 .row_words = static_cast<uint32_t>(CodeWords(array.code.dims)),
                 .blocks = blocks.As<kernels::Int8Block>(),
                 .row_bias = bias.As<float>(),
                 .rows = rows()};
  coded.memory.push_back(std::move(words));
  coded.memory.push_back(std::move(blocks));
  coded.memory.push_back(std::move(bias));
  return absl::OkStatus();
}

absl::Status DeviceSegment::LoadBits(const BitArray& array) {
  const std::vector<uint32_t> words = ByBlocks(array);
  MRL_ASSIGN_OR_RETURN(Memory memory, Copy(words.data(), words.size() * sizeof(uint32_t), "codes"));
  Coded& coded = coded_.emplace_back();
  coded.code = array.code();
  coded.codes = {.words = memory.As<uint32_t>(),
                 .row_words = static_cast<uint32_t>(2 * BitWords(array.code())),
                 .rows = rows()};
  coded.memory.push_back(std::move(memory));
  return absl::OkStatus();
}

absl::StatusOr<Memory> DeviceSegment::CopyIfRoom(const void* host, size_t bytes,
                                                 absl::string_view what) {
  MRL_RETURN_IF_ERROR(device_.CheckRoom(bytes, what));
  return Copy(host, bytes, what);
}

absl::Status DeviceSegment::LoadNorms() {
  const Schema& schema = segment().schema();
  if (schema.metric != Metric::kCosine || rows() == 0) return absl::OkStatus();
  const uint64_t bytes = uint64_t{rows()} * schema.levels() * sizeof(float);
  MRL_ASSIGN_OR_RETURN(norms_, CopyIfRoom(segment().InverseNorms(0), bytes, "norms"));
  return absl::OkStatus();
}

void DeviceSegment::DropLevels() {
  for (uint32_t level = 0; level < levels_on_device_; ++level) {
    device_bytes_ -= level_memory_[level].bytes();
  }
  device_bytes_ -= norms_.bytes();
  level_memory_.clear();
  norms_ = Memory();
  levels_on_device_ = 0;
  mapped_bytes_ = 0;
}

absl::Status DeviceSegment::LoadLevels() {
  const Schema& schema = segment().schema();
  if (schema.storage != StorageType::kF32 && schema.storage != StorageType::kF16) {
    return absl::OkStatus();  // no kernel reads the others
  }
  MRL_RETURN_IF_ERROR(LoadNorms());
  std::vector<DeviceLevel> table;
  for (size_t level = 0; level < segment().hot_levels() && rows() > 0; ++level) {
    const void* host = segment().Level(level);
    const uint64_t bytes =
        uint64_t{rows()} * schema.level_width(level) * ElementBytes(schema.storage);
    absl::StatusOr<Memory> memory = absl::ResourceExhaustedError("no room");
    if (levels_on_device_ == level) memory = CopyIfRoom(host, bytes, "a level");
    if (memory.ok()) {
      ++levels_on_device_;
    } else if (absl::IsResourceExhausted(memory.status())) {
      memory = device_.Map(host, bytes);
      if (!memory.ok()) break;
      mapped_bytes_ += bytes;
    } else {
      return memory.status();
    }
    table.push_back({memory->As<void>(), schema.level_begin(level), schema.level_width(level)});
    level_memory_.push_back(*std::move(memory));
  }
  if (table.empty()) return absl::OkStatus();
  MRL_ASSIGN_OR_RETURN(level_table_,
                       Copy(table.data(), table.size() * sizeof(DeviceLevel), "the levels' table"));
  level_count_ = static_cast<uint32_t>(table.size());
  return absl::OkStatus();
}

const Codes* DeviceSegment::Find(Code code) const {
  for (const Coded& coded : coded_) {
    if (coded.code.Serves(code)) return &coded.codes;
  }
  return nullptr;
}

std::string DeviceSegment::Describe() const {
  const std::vector<uint32_t>& ladder = segment().schema().ladder;
  std::string text = absl::StrCat(device_bytes_ / kMiB, " MiB on ", device_.name());
  if (levels_on_device_ > 0) {
    absl::StrAppend(&text, ", levels to ", ladder[levels_on_device_ - 1], " dims there");
  }
  if (mapped_bytes_ > 0) {
    absl::StrAppend(&text, ", to ", ladder[level_count_ - 1], " dims from the host");
  }
  return text;
}

}  // namespace mrl::coarse::gpu
