// Codes in a side file: the sections of one code, encoded as rows stream by, and loaded.
#pragma once

#include <cstdint>
#include <functional>
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
#include "index/store/segment.h"

namespace mrl::coarse {

// The sections of one code with space for `rows_max` rows. 8 bits: the blocks of codes, the blocks'
// scales and errors, and a bias per row (empty but under L2). Codes that nest: the words of the
// rows, and the calibration.
std::vector<format::SectionSpec> CodeSections(const Schema& schema, Code code, uint64_t rows_max);

// Encodes one code by blocks of kernels::kBlockRows places, as pieces of CodeSections() of a file
// from `section` on. Begin, EncodeBlock for each block, Take, and over again; then Finish.
class CodeEncoder {
 public:
  static std::unique_ptr<CodeEncoder> Make(const Schema& schema, Code code, size_t section);
  virtual ~CodeEncoder() = default;
  // So many places come next; whole blocks, but for the last ones of the file.
  virtual void Begin(size_t places) = 0;
  // Codes the rows of block `block` since Begin, of the code's dims at least each; places that are
  // left mean nothing. May be called from many threads at once, each for other blocks.
  virtual void EncodeBlock(size_t block, absl::Span<const float* const> rows) = 0;
  // What was encoded since Begin.
  virtual format::Pieces Take() = 0;
  // What follows when all was taken.
  virtual format::Pieces Finish() = 0;
};

// Rows in the order in which they are coded, by blocks of kernels::kBlockRows places.
struct Places {
  static constexpr uint32_t kNoRow = ~uint32_t{0};

  size_t count = 0;
  std::function<uint32_t(size_t)> row_at;  // kNoRow ends a block before its last place
};

// Encodes one code of the rows at `places`, from `threads` threads at most, and gives `take` what
// a CodeEncoder makes of them for the sections from `section` on, some blocks at a time. DATA_LOSS
// of cold levels; the first error of `take`.
absl::Status EncodePlaces(const store::Segment& segment, Code code, size_t section,
                          const Places& places, size_t threads,
                          const std::function<absl::Status(const format::Pieces&)>& take);

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
