#include "index/coarse/code_sections.h"

#include <array>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/coarse/bit_codes.h"
#include "index/coarse/scan_codes.h"

namespace mrl::coarse {
namespace {

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
  absl::Status EndBlock() override { return encoder_.rows() > 0 ? Flush() : absl::OkStatus(); }
  absl::Status Finish() override { return EndBlock(); }

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
    ++rows_;
    return file_.Append(section_, format::AsBytes<uint64_t>(words_));
  }
  absl::Status EndBlock() override {
    const uint64_t missing = BlockCount(rows_) * kernels::kBlockRows - rows_;
    rows_ += missing;
    const std::vector<uint64_t> zeros(missing * words_.size());
    return file_.Append(section_, format::AsBytes<uint64_t>(zeros));
  }
  absl::Status Finish() override {
    return file_.Append(section_ + 1, format::AsBytes<float>(encoder_.Calibration()));
  }

 private:
  format::SectionFileWriter& file_;
  const size_t section_;
  BitEncoder encoder_;
  std::vector<uint64_t> words_;  // one row
  uint64_t rows_ = 0;            // with those that fill blocks up
};

}  // namespace

std::vector<format::SectionSpec> CodeSections(const Schema& schema, Code code, uint64_t rows_max) {
  if (code.nests()) {
    return {{.name = WordsName(code), .bytes_max = WordsBytes(code, rows_max)},
            {.name = CalibrationName(code), .bytes_max = CalibrationBytes(schema, code)}};
  }
  const ArraySizes sizes = SizesOf(schema, code, rows_max);
  return {{.name = CodesName(code), .bytes_max = sizes.codes},
          {.name = BlocksName(code), .bytes_max = sizes.blocks},
          {.name = BiasName(code), .bytes_max = sizes.bias}};
}

uint64_t CodeArrayBytes(const Schema& schema, Code code, uint64_t rows) {
  return SizesOf(schema, code, rows).total();
}

std::unique_ptr<CodeWriter> CodeWriter::Make(const Schema& schema, Code code,
                                             format::SectionFileWriter& file, size_t section) {
  if (code.nests()) return std::make_unique<BitWriter>(schema, code, file, section);
  return std::make_unique<Int8Writer>(schema, code, file, section);
}

absl::Status WriteBits(absl::Span<const uint64_t> words, absl::Span<const float> calibration,
                       format::SectionFileWriter& file, size_t section) {
  MRL_RETURN_IF_ERROR(file.Append(section, format::AsBytes<uint64_t>(words)));
  return file.Append(section + 1, format::AsBytes<float>(calibration));
}

absl::StatusOr<Buffer> LoadSection(const format::SectionFileReader& reader,
                                   const std::string& section, uint64_t bytes) {
  MRL_RETURN_IF_ERROR(reader.ExpectSize(section, bytes));
  MRL_ASSIGN_OR_RETURN(Buffer buffer, Buffer::Allocate(bytes));
  MRL_RETURN_IF_ERROR(reader.Load(section, {buffer.data(), buffer.size()}));
  return buffer;
}

absl::StatusOr<CodeArray> LoadCodes(const format::SectionFileReader& reader,
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

absl::StatusOr<CodedBits> LoadBits(const format::SectionFileReader& reader, const std::string& path,
                                   const Schema& schema, Code code, uint32_t rows) {
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
  return CodedBits{std::move(words), std::move(calibration)};
}

}  // namespace mrl::coarse
