// Any bytes as the sections of a segment whose checksums are right: an error, or rows that can be
// read without leaving memory.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "index/format/manifest.h"
#include "index/format/section_file.h"
#include "index/store/segment.h"
#include "index/store/segment_sections.h"
#include "tests/fuzz/memory_file_system.h"

namespace {

using mrl::store::Segment;
using mrl::store::SegmentInfo;

constexpr char kPath[] = "000001.seg";

mrl::Schema MakeSchema() {
  mrl::Schema schema;
  schema.dim = 3;
  schema.ladder = {1, 3};
  schema.transform = mrl::Transform::kLayerNorm;
  return schema;
}

// A section of the size that it should have, or of another.
std::string Section(FuzzedDataProvider& data, size_t bytes) {
  if (data.ConsumeProbability<float>() < 0.05F) bytes = data.ConsumeIntegralInRange<size_t>(0, 300);
  std::string section = data.ConsumeBytesAsString(bytes);
  section.resize(bytes);
  return section;
}

// `count` numbers, most of them small enough to be right.
template <typename T>
std::string Numbers(FuzzedDataProvider& data, size_t count, T most) {
  std::string section;
  for (size_t i = 0; i < count; ++i) {
    const T number = data.ConsumeProbability<float>() < 0.02F
                         ? data.ConsumeIntegral<T>()
                         : data.ConsumeIntegralInRange<T>(0, most);
    section.append(reinterpret_cast<const char*>(&number), sizeof(number));
  }
  return section;
}

// Growing offsets into `bytes`, mostly.
std::string Offsets(FuzzedDataProvider& data, size_t count, uint64_t bytes) {
  std::vector<uint64_t> offsets = {0};
  while (offsets.size() < count) offsets.push_back(data.ConsumeIntegralInRange<uint64_t>(0, bytes));
  if (data.ConsumeProbability<float>() < 0.95F) std::sort(offsets.begin(), offsets.end());
  if (data.ConsumeProbability<float>() < 0.95F) offsets.back() = bytes;
  return std::string(reinterpret_cast<const char*>(offsets.data()), offsets.size() * 8);
}

using Sections = std::vector<std::pair<std::string, std::string>>;

Sections MakeSections(FuzzedDataProvider& data, uint32_t rows) {
  const size_t lengths = data.ConsumeBool() ? rows : 0;
  const std::string payloads = Section(data, data.ConsumeIntegralInRange(0, 64));
  const std::string heap = Section(data, data.ConsumeIntegralInRange(0, 64));
  return {{mrl::store::LevelSection(0), Section(data, rows * 4)},
          {mrl::store::LevelSection(1), Section(data, rows * 8)},
          {mrl::store::kNormsSection, Section(data, rows * 8)},
          {mrl::store::kTransformSection, Section(data, rows * 8)},
          {mrl::store::kIdValuesSection, Numbers<uint64_t>(data, rows, 70)},
          {mrl::store::kIdOrderSection, Numbers<uint32_t>(data, rows, rows)},
          {mrl::store::kPayloadOffsetsSection, Offsets(data, rows + 1, payloads.size())},
          {mrl::store::kPayloadsSection, payloads},
          {mrl::store::kIdLengthsSection, Numbers<uint16_t>(data, lengths, 40)},
          {mrl::store::kIdHeapSection, heap}};
}

SegmentInfo Write(FuzzedDataProvider& data, const mrl::Schema& schema, mrl::FileSystem& files) {
  const auto rows = data.ConsumeIntegralInRange<uint32_t>(1, 9);
  const Sections sections = MakeSections(data, rows);
  std::vector<mrl::format::SectionSpec> specs;
  for (const auto& [name, bytes] : sections) {
    specs.push_back({.name = name, .bytes_max = bytes.size()});
  }
  SegmentInfo info = {.number = 1,
                      .uuid = std::string(32, 'a'),
                      .rows = rows,
                      .first_sequence = 1,
                      .file_bytes = 0};
  auto writer = mrl::format::SectionFileWriter::Create(files, kPath, specs);
  CHECK(writer.ok());
  for (size_t i = 0; i < sections.size(); ++i) {
    const std::string& bytes = sections[i].second;
    CHECK((*writer)
              ->Append(i, mrl::format::AsBytes(absl::MakeConstSpan(bytes.data(), bytes.size())))
              .ok());
  }
  const auto finished = (*writer)->Finish({.kind = mrl::format::FileKind::kSegment,
                                           .uuid = info.uuid,
                                           .bound_uuid = info.uuid,
                                           .schema_hash = mrl::format::SchemaHash(schema)});
  CHECK(finished.ok());
  info.file_bytes = *finished;
  return info;
}

void Use(const Segment& segment) {
  std::vector<float> vector(segment.schema().dim);
  for (uint32_t row = 0; row < segment.rows(); ++row) {
    segment.Find(segment.Id(row));
    segment.IdLess(row, 0);
    CHECK(segment.Vector(row, vector.data()).ok());
    segment.Payload(row).status().IgnoreError();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  FuzzedDataProvider data(bytes, size);
  const mrl::Schema schema = MakeSchema();
  mrl::MemoryFileSystem files;
  const SegmentInfo info = Write(data, schema, files);
  mrl::MemoryAccount account(1 << 20);
  const auto segment = Segment::Open(files, kPath, info, schema, account);
  if (segment.ok()) Use(**segment);
  return 0;
}
