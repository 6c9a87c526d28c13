// The side file of kind `scan`: for each code, its blocks of codes, the blocks' scales and errors,
// and under L2 a bias per row. docs/formats/segment.md describes the container.
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "index/coarse/coarse.h"
#include "index/coarse/scan_codes.h"
#include "index/coarse/scan_index.h"
#include "index/coarse/side_file.h"
#include "index/format/manifest.h"
#include "index/format/section_file.h"

namespace mrl::coarse {
namespace {

constexpr absl::string_view kRowsSection = "rows";  // u64: rows coded; there without any code too

std::string SectionName(Code code, absl::string_view part) {
  return absl::StrCat(code.dims, "b", code.bits, ".", part);
}
std::string CodesName(Code code) { return SectionName(code, "codes"); }
std::string BlocksName(Code code) { return SectionName(code, "blocks"); }
std::string BiasName(Code code) { return SectionName(code, "bias"); }

struct ArraySizes {
  uint64_t codes = 0, blocks = 0, bias = 0;
  uint64_t total() const { return codes + blocks + bias; }
};

ArraySizes SizesOf(const Schema& schema, Code code, uint64_t rows) {
  const uint64_t blocks = BlockCount(rows);
  return {.codes = blocks * BlockBytes(code.dims),
          .blocks = blocks * sizeof(kernels::Int8Block),
          .bias = schema.metric == Metric::kL2 ? blocks * kernels::kBlockRows * sizeof(float) : 0};
}

absl::StatusOr<Buffer> LoadSection(const format::SectionFileReader& reader,
                                   const std::string& section, uint64_t bytes) {
  MRL_RETURN_IF_ERROR(reader.ExpectSize(section, bytes));
  MRL_ASSIGN_OR_RETURN(Buffer buffer, Buffer::Allocate(bytes));
  MRL_RETURN_IF_ERROR(reader.Load(section, {buffer.data(), buffer.size()}));
  return buffer;
}

absl::StatusOr<CodeArray> LoadArray(const format::SectionFileReader& reader,
                                    const std::string& path, const Schema& schema, Code code,
                                    uint32_t rows) {
  const ArraySizes sizes = SizesOf(schema, code, rows);
  CodeArray array;
  array.code = code;
  array.rows = rows;
  MRL_ASSIGN_OR_RETURN(array.codes, LoadSection(reader, CodesName(code), sizes.codes));
  MRL_ASSIGN_OR_RETURN(array.blocks, LoadSection(reader, BlocksName(code), sizes.blocks));
  if (sizes.bias != 0) {
    MRL_ASSIGN_OR_RETURN(array.row_bias, LoadSection(reader, BiasName(code), sizes.bias));
  }
  if (!array.SetNormMax()) {
    return absl::DataLossError(absl::StrCat(path, ": section `", BlocksName(code),
                                            "` holds a negative or infinite error"));
  }
  return array;
}

}  // namespace

class ScanWriter::Impl {
 public:
  Impl(const Schema& schema, std::unique_ptr<format::SectionFileWriter> file)
      : schema_(schema), file_(std::move(file)) {
    for (const Code& code : schema_.codes) {
      encoders_.emplace_back(schema_.metric, code.dims);
      codes_.emplace_back(BlockBytes(code.dims));
    }
  }

  absl::Status Append(absl::Span<const float> vectors) {
    CHECK(vectors.size() % schema_.dim == 0);
    for (size_t i = 0; i < vectors.size(); i += schema_.dim) {
      for (size_t code = 0; code < encoders_.size(); ++code) {
        encoders_[code].Add(vectors.data() + i);
        if (encoders_[code].full()) MRL_RETURN_IF_ERROR(Flush(code));
      }
      ++rows_;
    }
    return absl::OkStatus();
  }

  absl::Status Finish(const store::SegmentInfo& segment) {
    if (rows_ != segment.rows) {
      return absl::InternalError(
          absl::StrCat("scan: ", rows_, " rows were coded, the segment has ", segment.rows));
    }
    for (size_t code = 0; code < encoders_.size(); ++code) {
      if (encoders_[code].rows() != 0) MRL_RETURN_IF_ERROR(Flush(code));
    }
    MRL_RETURN_IF_ERROR(file_->Append(0, format::AsBytes<uint64_t>({&rows_, 1})));
    return file_->Finish(SideFileHeader(format::FileKind::kScan, segment.uuid, schema_)).status();
  }

 private:
  // Section 0 counts the rows; code c has sections 1 + 3c to 3 + 3c.
  absl::Status Flush(size_t code) {
    kernels::Int8Block block;
    std::array<float, kernels::kBlockRows> bias;
    std::vector<uint8_t>& codes = codes_[code];
    encoders_[code].Encode(codes.data(), &block, bias.data());
    const size_t section = 1 + 3 * code;
    MRL_RETURN_IF_ERROR(file_->Append(section, format::AsBytes<uint8_t>(codes)));
    MRL_RETURN_IF_ERROR(
        file_->Append(section + 1, format::AsBytes<kernels::Int8Block>({&block, 1})));
    if (schema_.metric != Metric::kL2) return absl::OkStatus();
    return file_->Append(section + 2, format::AsBytes<float>(bias));
  }

  const Schema schema_;
  const std::unique_ptr<format::SectionFileWriter> file_;
  std::vector<BlockEncoder> encoders_;
  std::vector<std::vector<uint8_t>> codes_;  // one block per code
  uint64_t rows_ = 0;
};

ScanWriter::ScanWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ScanWriter::~ScanWriter() = default;

absl::StatusOr<std::unique_ptr<ScanWriter>> ScanWriter::Create(FileSystem& files,
                                                               const std::string& path,
                                                               const Schema& schema,
                                                               uint32_t rows_max) {
  std::vector<format::SectionSpec> sections;
  sections.push_back({.name = std::string(kRowsSection), .bytes_max = sizeof(uint64_t)});
  for (const Code& code : schema.codes) {
    const ArraySizes sizes = SizesOf(schema, code, rows_max);
    sections.push_back({.name = CodesName(code), .bytes_max = sizes.codes});
    sections.push_back({.name = BlocksName(code), .bytes_max = sizes.blocks});
    sections.push_back({.name = BiasName(code), .bytes_max = sizes.bias});
  }
  MRL_ASSIGN_OR_RETURN(auto file, format::SectionFileWriter::Create(files, path, sections));
  return std::unique_ptr<ScanWriter>(
      new ScanWriter(std::make_unique<Impl>(schema, std::move(file))));
}

absl::Status ScanWriter::Append(absl::Span<const float> vectors) { return impl_->Append(vectors); }

absl::Status ScanWriter::Finish(const store::SegmentInfo& segment) {
  return impl_->Finish(segment);
}

absl::StatusOr<std::unique_ptr<CoarseIndex>> OpenScan(FileSystem& files, const std::string& path,
                                                      std::shared_ptr<const store::Segment> segment,
                                                      MemoryAccount& account) {
  MRL_ASSIGN_OR_RETURN(auto reader, OpenSideFile(files, path, format::FileKind::kScan, *segment));
  uint64_t rows = 0;
  MRL_RETURN_IF_ERROR(reader->ExpectSize(kRowsSection, sizeof(rows)));
  MRL_RETURN_IF_ERROR(
      reader->Load(kRowsSection, {reinterpret_cast<std::byte*>(&rows), sizeof(rows)}));
  if (rows != segment->rows()) {
    return absl::DataLossError(
        absl::StrCat(path, ": codes of ", rows, " rows, the segment has ", segment->rows()));
  }
  const Schema& schema = segment->schema();
  uint64_t bytes = 0;
  for (const Code& code : schema.codes) bytes += SizesOf(schema, code, rows).total();
  MRL_ASSIGN_OR_RETURN(MemoryAccount::Reservation memory, account.Reserve(bytes, path));
  std::vector<CodeArray> arrays;
  for (const Code& code : schema.codes) {
    MRL_ASSIGN_OR_RETURN(CodeArray array,
                         LoadArray(*reader, path, schema, code, static_cast<uint32_t>(rows)));
    arrays.push_back(std::move(array));
  }
  return std::make_unique<ScanIndex>(std::move(segment), std::move(arrays), std::move(memory));
}

}  // namespace mrl::coarse
