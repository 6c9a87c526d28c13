#include "index/coarse/code_sections.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/for_each.h"
#include "base/status.h"
#include "index/coarse/bit_codes.h"
#include "index/coarse/scan_codes.h"

namespace mrl::coarse {
namespace {

constexpr size_t kPlacesAtOnce = 256 * kernels::kBlockRows;  // that are coded before they are taken

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

// 8 bits, into three sections from `section` on.
class Int8Encoder final : public CodeEncoder {
 public:
  Int8Encoder(const Schema& schema, Code code, size_t section)
      : schema_(schema), code_(code), section_(section) {}

  void Begin(size_t places) override {
    const ArraySizes sizes = SizesOf(schema_, code_, places);
    codes_.resize(sizes.codes);
    blocks_.resize(sizes.blocks);
    bias_.resize(sizes.bias);
  }
  void EncodeBlock(size_t block, absl::Span<const float* const> rows) override {
    BlockEncoder encoder(schema_.metric, code_.dims);
    for (const float* row : rows) encoder.Add(row);
    auto* bias = reinterpret_cast<float*>(bias_.data());
    if (bias != nullptr) bias += block * kernels::kBlockRows;
    encoder.Encode(reinterpret_cast<uint8_t*>(codes_.data()) + block * BlockBytes(code_.dims),
                   reinterpret_cast<kernels::Int8Block*>(blocks_.data()) + block, bias);
  }
  format::Pieces Take() override {
    return {{section_, std::exchange(codes_, {})},
            {section_ + 1, std::exchange(blocks_, {})},
            {section_ + 2, std::exchange(bias_, {})}};
  }
  format::Pieces Finish() override { return {}; }

 private:
  const Schema schema_;
  const Code code_;
  const size_t section_;
  std::vector<std::byte> codes_, blocks_, bias_;  // of all blocks since Begin
};

// Codes that nest, into two sections from `section` on.
class NestedEncoder final : public CodeEncoder {
 public:
  NestedEncoder(const Schema& schema, Code code, size_t section)
      : code_(code), section_(section), encoder_(schema, code) {}

  void Begin(size_t places) override {
    words_.resize(WordsBytes(code_, places));
    agreements_.resize(BlockCount(places) * kernels::kBlockRows * encoder_.levels());
    rows_.resize(BlockCount(places));
  }
  void EncodeBlock(size_t block, absl::Span<const float* const> rows) override {
    const size_t place = block * kernels::kBlockRows;
    encoder_.Encode(rows, reinterpret_cast<uint64_t*>(words_.data()) + place * BitWords(code_),
                    agreements_.data() + place * encoder_.levels());
    rows_[block] = static_cast<uint8_t>(rows.size());
  }
  format::Pieces Take() override {
    for (size_t block = 0; block < rows_.size(); ++block) {
      encoder_.Count(agreements_.data() + block * kernels::kBlockRows * encoder_.levels(),
                     rows_[block]);
    }
    return {{section_, std::exchange(words_, {})}};
  }
  format::Pieces Finish() override {
    const std::vector<float> calibration = encoder_.Calibration();
    const auto bytes = format::AsBytes<float>(calibration);
    return {{section_ + 1, {bytes.begin(), bytes.end()}}};
  }

 private:
  const Code code_;
  const size_t section_;
  BitEncoder encoder_;
  std::vector<std::byte> words_;    // of all places since Begin
  std::vector<double> agreements_;  // of them
  std::vector<uint8_t> rows_;       // of each block
};

// The rows of the block whose first place is `begin`.
std::vector<uint32_t> RowsOfBlock(const Places& places, size_t begin) {
  std::vector<uint32_t> rows;
  const size_t end = std::min(places.count, begin + kernels::kBlockRows);
  for (size_t place = begin; place < end; ++place) {
    const uint32_t row = places.row_at(place);
    if (row == Places::kNoRow) break;
    rows.push_back(row);
  }
  return rows;
}

absl::Status EncodeRows(const store::Segment& segment, Code code, absl::Span<const uint32_t> rows,
                        size_t block, CodeEncoder& encoder) {
  const auto level = static_cast<size_t>(segment.schema().LevelOf(code.dims));
  std::vector<float> values(rows.size() * code.dims);
  std::vector<const float*> prefixes;
  for (const uint32_t row : rows) {
    float* prefix = values.data() + prefixes.size() * code.dims;
    MRL_RETURN_IF_ERROR(segment.Prefix(row, level, prefix));
    prefixes.push_back(prefix);
  }
  encoder.EncodeBlock(block, prefixes);
  return absl::OkStatus();
}

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

std::unique_ptr<CodeEncoder> CodeEncoder::Make(const Schema& schema, Code code, size_t section) {
  if (code.nests()) return std::make_unique<NestedEncoder>(schema, code, section);
  return std::make_unique<Int8Encoder>(schema, code, section);
}

absl::Status EncodePlaces(const store::Segment& segment, Code code, size_t section,
                          const Places& places, size_t threads,
                          const std::function<absl::Status(const format::Pieces&)>& take) {
  const auto encoder = CodeEncoder::Make(segment.schema(), code, section);
  for (size_t begin = 0; begin < places.count; begin += kPlacesAtOnce) {
    const size_t count = std::min(kPlacesAtOnce, places.count - begin);
    encoder->Begin(count);
    const auto encode = [&](size_t block) {
      const auto rows = RowsOfBlock(places, begin + block * kernels::kBlockRows);
      return EncodeRows(segment, code, rows, block, *encoder);
    };
    MRL_RETURN_IF_ERROR(ForEach(BlockCount(count), threads, encode));
    MRL_RETURN_IF_ERROR(take(encoder->Take()));
  }
  return take(encoder->Finish());
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
