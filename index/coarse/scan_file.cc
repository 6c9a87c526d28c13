// The side file of kind `scan`: for each code of 8 bits, its blocks of codes, the blocks' scales
// and errors, and under L2 a bias per row; for each bit code the words of its rows and its
// calibration. docs/formats/segment.md describes the container.
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "index/coarse/bit_search.h"
#include "index/coarse/coarse.h"
#include "index/coarse/code_sections.h"
#include "index/coarse/scan_index.h"
#include "index/coarse/side_file.h"
#include "index/format/manifest.h"
#include "index/format/section_file.h"

namespace mrl::coarse {
namespace {

constexpr absl::string_view kRowsSection = "rows";  // u64: rows coded; there without any code too

}  // namespace

class ScanWriter::Impl {
 public:
  Impl(const Schema& schema, std::unique_ptr<format::SectionFileWriter> file)
      : schema_(schema), file_(std::move(file)) {
    size_t section = 1;  // section 0 counts the rows
    for (const Code& code : schema_.codes) {
      writers_.push_back(CodeWriter::Make(schema_, code, *file_, section));
      section += CodeSections(schema_, code, 0).size();
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
    for (format::SectionSpec& section : CodeSections(schema, code, rows_max)) {
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
  uint64_t memory_bytes = 0;
  for (const Code& code : schema.codes) {
    memory_bytes += code.nests() ? BitArray::MemoryBytes(code, rows)
                                 : CodeArrayBytes(schema, code, segment->rows());
  }
  MRL_ASSIGN_OR_RETURN(MemoryAccount::Reservation memory, account.Reserve(memory_bytes, path));
  std::vector<CodeArray> arrays;
  std::vector<BitArray> bit_arrays;
  for (const Code& code : schema.codes) {
    if (code.nests()) {
      MRL_ASSIGN_OR_RETURN(CodedBits bits, LoadBits(*reader, path, schema, code, segment->rows()));
      MRL_ASSIGN_OR_RETURN(BitArray array,
                           BitArray::Make(code, segment->rows(), std::move(bits.words),
                                          std::move(bits.calibration)));
      bit_arrays.push_back(std::move(array));
    } else {
      MRL_ASSIGN_OR_RETURN(CodeArray array,
                           LoadCodes(*reader, path, schema, code, segment->rows()));
      arrays.push_back(std::move(array));
    }
  }
  return std::make_unique<ScanIndex>(std::move(segment), std::move(arrays), std::move(bit_arrays),
                                     std::move(memory));
}

}  // namespace mrl::coarse
