// The side file of kind `scan`: for each code of 8 bits, its blocks of codes, the blocks' scales
// and errors, and under L2 a bias per row; for each bit code the words of its rows and its
// calibration. docs/formats/segment.md describes the container.
#include <array>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "index/coarse/bit_codes.h"
#include "index/coarse/bit_search.h"
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
// Codes of 8 bits: "codes", "blocks" and "bias". Codes that nest: "words" and "calibration".
std::string CodesName(Code code) { return SectionName(code, "codes"); }
std::string BlocksName(Code code) { return SectionName(code, "blocks"); }
std::string BiasName(Code code) { return SectionName(code, "bias"); }
std::string WordsName(Code code) { return SectionName(code, "words"); }
std::string CalibrationName(Code code) { return SectionName(code, "calibration"); }

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

uint64_t WordsBytes(Code code, uint64_t rows) { return rows * BitWords(code) * sizeof(uint64_t); }
uint64_t CalibrationBytes(const Schema& schema, Code code) {
  return static_cast<uint64_t>(schema.LevelOf(code.dims) + 1) * sizeof(float);
}

// The sections of one code with space for `rows_max` rows.
std::vector<format::SectionSpec> SectionsOf(const Schema& schema, Code code, uint64_t rows_max) {
  if (code.nests()) {
    return {{.name = WordsName(code), .bytes_max = WordsBytes(code, rows_max)},
            {.name = CalibrationName(code), .bytes_max = CalibrationBytes(schema, code)}};
  }
  const ArraySizes sizes = SizesOf(schema, code, rows_max);
  return {{.name = CodesName(code), .bytes_max = sizes.codes},
          {.name = BlocksName(code), .bytes_max = sizes.blocks},
          {.name = BiasName(code), .bytes_max = sizes.bias}};
}

uint64_t MemoryBytes(const Schema& schema, uint64_t rows) {
  uint64_t bytes = 0;
  for (const Code& code : schema.codes) {
    bytes += code.nests() ? BitArray::MemoryBytes(code, rows) : SizesOf(schema, code, rows).total();
  }
  return bytes;
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

absl::StatusOr<BitArray> LoadBitArray(const format::SectionFileReader& reader,
                                      const std::string& path, const Schema& schema, Code code,
                                      uint32_t rows) {
  MRL_ASSIGN_OR_RETURN(Buffer words, LoadSection(reader, WordsName(code), WordsBytes(code, rows)));
  MRL_ASSIGN_OR_RETURN(const Buffer means,
                       LoadSection(reader, CalibrationName(code), CalibrationBytes(schema, code)));
  std::vector<float> calibration(means.As<float>(),
                                 means.As<float>() + means.size() / sizeof(float));
  for (const float mean : calibration) {
    if (!(mean >= 0) || !std::isfinite(mean)) {
      return absl::DataLossError(absl::StrCat(path, ": section `", CalibrationName(code),
                                              "` holds a negative or infinite mean"));
    }
  }
  return BitArray::Make(code, rows, std::move(words), std::move(calibration));
}

// Writes one code as the rows stream by.
class CodeWriter {
 public:
  virtual ~CodeWriter() = default;
  virtual absl::Status Append(const float* row) = 0;
  virtual absl::Status Finish() = 0;
};

// 8 bits, by blocks of 64 rows, into three sections from `section` on.
class Int8Writer final : public CodeWriter {
 public:
  Int8Writer(const Schema& schema, Code code, format::SectionFileWriter& file, size_t section)
      : metric_(schema.metric),
        file_(file),
        section_(section),
        encoder_(schema.metric, code.dims),
        codes_(BlockBytes(code.dims)) {}

  absl::Status Append(const float* row) override {
    encoder_.Add(row);
    return encoder_.full() ? Flush() : absl::OkStatus();
  }
  absl::Status Finish() override { return encoder_.rows() > 0 ? Flush() : absl::OkStatus(); }

 private:
  absl::Status Flush() {
    kernels::Int8Block block;
    std::array<float, kernels::kBlockRows> bias;
    encoder_.Encode(codes_.data(), &block, bias.data());
    MRL_RETURN_IF_ERROR(file_.Append(section_, format::AsBytes<uint8_t>(codes_)));
    MRL_RETURN_IF_ERROR(
        file_.Append(section_ + 1, format::AsBytes<kernels::Int8Block>({&block, 1})));
    if (metric_ != Metric::kL2) return absl::OkStatus();
    return file_.Append(section_ + 2, format::AsBytes<float>(bias));
  }

  const Metric metric_;
  format::SectionFileWriter& file_;
  const size_t section_;
  BlockEncoder encoder_;
  std::vector<uint8_t> codes_;  // one block
};

// Bit codes, row by row, into two sections from `section` on.
class BitWriter final : public CodeWriter {
 public:
  BitWriter(const Schema& schema, Code code, format::SectionFileWriter& file, size_t section)
      : file_(file), section_(section), encoder_(schema, code), words_(BitWords(code)) {}

  absl::Status Append(const float* row) override {
    encoder_.Encode(row, words_.data());
    return file_.Append(section_, format::AsBytes<uint64_t>(words_));
  }
  absl::Status Finish() override {
    return file_.Append(section_ + 1, format::AsBytes<float>(encoder_.Calibration()));
  }

 private:
  format::SectionFileWriter& file_;
  const size_t section_;
  BitEncoder encoder_;
  std::vector<uint64_t> words_;  // one row
};

}  // namespace

class ScanWriter::Impl {
 public:
  Impl(const Schema& schema, std::unique_ptr<format::SectionFileWriter> file)
      : schema_(schema), file_(std::move(file)) {
    size_t section = 1;  // section 0 counts the rows
    for (const Code& code : schema_.codes) {
      if (code.nests()) {
        writers_.push_back(std::make_unique<BitWriter>(schema_, code, *file_, section));
      } else {
        writers_.push_back(std::make_unique<Int8Writer>(schema_, code, *file_, section));
      }
      section += SectionsOf(schema_, code, 0).size();
    }
  }

  absl::Status Append(absl::Span<const float> vectors) {
    CHECK(vectors.size() % schema_.dim == 0);
    for (const std::unique_ptr<CodeWriter>& writer : writers_) {
      for (size_t i = 0; i < vectors.size(); i += schema_.dim) {
        MRL_RETURN_IF_ERROR(writer->Append(vectors.data() + i));
      }
    }
    rows_ += vectors.size() / schema_.dim;
    return absl::OkStatus();
  }

  absl::Status Finish(const store::SegmentInfo& segment) {
    if (rows_ != segment.rows) {
      return absl::InternalError(
          absl::StrCat("scan: ", rows_, " rows were coded, the segment has ", segment.rows));
    }
    for (const std::unique_ptr<CodeWriter>& writer : writers_) {
      MRL_RETURN_IF_ERROR(writer->Finish());
    }
    MRL_RETURN_IF_ERROR(file_->Append(0, format::AsBytes<uint64_t>({&rows_, 1})));
    return file_->Finish(SideFileHeader(format::FileKind::kScan, segment.uuid, schema_)).status();
  }

 private:
  const Schema schema_;
  const std::unique_ptr<format::SectionFileWriter> file_;
  std::vector<std::unique_ptr<CodeWriter>> writers_;
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
    for (format::SectionSpec& section : SectionsOf(schema, code, rows_max)) {
      sections.push_back(std::move(section));
    }
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
  MRL_ASSIGN_OR_RETURN(MemoryAccount::Reservation memory,
                       account.Reserve(MemoryBytes(schema, rows), path));
  std::vector<CodeArray> arrays;
  std::vector<BitArray> bit_arrays;
  for (const Code& code : schema.codes) {
    if (code.nests()) {
      MRL_ASSIGN_OR_RETURN(BitArray array,
                           LoadBitArray(*reader, path, schema, code, segment->rows()));
      bit_arrays.push_back(std::move(array));
    } else {
      MRL_ASSIGN_OR_RETURN(CodeArray array,
                           LoadArray(*reader, path, schema, code, segment->rows()));
      arrays.push_back(std::move(array));
    }
  }
  return std::make_unique<ScanIndex>(std::move(segment), std::move(arrays), std::move(bit_arrays),
                                     std::move(memory));
}

}  // namespace mrl::coarse
