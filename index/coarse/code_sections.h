// Codes in a side file: the sections of one code, written as rows stream by, and loaded.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/buffer.h"
#include "base/status.h"
#include "index/coarse/int8_search.h"
#include "index/format/section_file.h"
#include "index/schema/schema.h"

namespace mrl::coarse {

// The sections of one code with space for `rows_max` rows. 8 bits: the blocks of codes, the blocks'
// scales and errors, and a bias per row (empty but under L2). Codes that nest: the words of the
// rows, and the calibration.
std::vector<format::SectionSpec> CodeSections(const Schema& schema, Code code, uint64_t rows_max);

// Writes one code, into CodeSections() of a file from `section` on. Not thread-safe.
class CodeWriter {
 public:
  // Outlived by `file`.
  static std::unique_ptr<CodeWriter> Make(const Schema& schema, Code code,
                                          format::SectionFileWriter& file, size_t section);
  virtual ~CodeWriter() = default;
  // Floats of one row, the code's dims at least.
  virtual absl::Status Append(const float* row) = 0;
  // Fills the block up with rows that mean nothing: the next row begins a block.
  virtual absl::Status EndBlock() = 0;
  virtual absl::Status Finish() = 0;
};

// Bytes in memory of a code of 8 bits.
uint64_t CodeArrayBytes(const Schema& schema, Code code, uint64_t rows);
// A code of 8 bits. DATA_LOSS for sizes and values that no writer leaves.
absl::StatusOr<CodeArray> LoadCodes(const format::SectionFileReader& reader,
                                    const std::string& path, const Schema& schema, Code code,
                                    uint32_t rows);

struct CodedBits {
  Buffer words;                    // rows x BitWords(code)
  std::vector<float> calibration;  // one per ladder step up to code.dims
};
// A code that nests, likewise.
absl::StatusOr<CodedBits> LoadBits(const format::SectionFileReader& reader, const std::string& path,
                                   const Schema& schema, Code code, uint32_t rows);

// Writes a code that nests, all rows at once, where a CodeWriter would write it row by row.
absl::Status WriteBits(absl::Span<const uint64_t> words, absl::Span<const float> calibration,
                       format::SectionFileWriter& file, size_t section);

// Reads a whole section, which must have `bytes`.
absl::StatusOr<Buffer> LoadSection(const format::SectionFileReader& reader,
                                   const std::string& section, uint64_t bytes);

// A section that is one struct of numbers.
template <typename Struct>
absl::StatusOr<Struct> LoadStruct(const format::SectionFileReader& reader,
                                  const std::string& section) {
  MRL_ASSIGN_OR_RETURN(const Buffer bytes, LoadSection(reader, section, sizeof(Struct)));
  return *bytes.As<Struct>();
}

}  // namespace mrl::coarse
