// The side file of kind `scan`: for each code of 8 bits, its blocks of codes, the blocks' scales
// and errors, and under L2 a bias per row; for each bit code the words of its rows and its
// calibration. docs/formats/segment.md describes the container.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/for_each.h"
#include "base/status.h"
#include "index/coarse/bit_search.h"
#include "index/coarse/coarse.h"
#include "index/coarse/code_sections.h"
#include "index/coarse/scan_codes.h"
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
  Impl(const Schema& schema, std::unique_ptr<format::SectionFileWriter> file, uint32_t threads)
      : schema_(schema), file_(std::move(file)), threads_(threads) {
    size_t section = 1;  // section 0 counts the rows
    for (const Code& code : schema_.codes) {
      encoders_.push_back(CodeEncoder::Make(schema_, code, section));
      section += CodeSections(schema_, code, 0).size();
      held_dims_ = std::max(held_dims_, code.dims);
    }
  }

  format::Pieces Encode(absl::Span<const float> vectors) {
    CHECK(vectors.size() % schema_.dim == 0);
    rows_ += vectors.size() / schema_.dim;
    if (encoders_.empty()) return {};
    std::vector<const float*> rows = HeldRows();
    for (size_t i = 0; i < vectors.size(); i += schema_.dim) rows.push_back(vectors.data() + i);
    const size_t whole = rows.size() / kernels::kBlockRows * kernels::kBlockRows;
    format::Pieces pieces = EncodeRows(absl::MakeConstSpan(rows).first(whole));
    std::vector<float> rest;
    for (size_t i = whole; i < rows.size(); ++i) {
      rest.insert(rest.end(), rows[i], rows[i] + held_dims_);
    }
    held_ = std::move(rest);
    return pieces;
  }

  absl::Status Write(const format::Pieces& pieces) { return file_->Append(pieces); }
  void StartSync() { file_->StartSync(); }

  absl::Status Finish(const store::SegmentInfo& segment) {
    if (rows_ != segment.rows) {
      return absl::InternalError(
          absl::StrCat("scan: ", rows_, " rows were coded, the segment has ", segment.rows));
    }
    MRL_RETURN_IF_ERROR(Write(EncodeRows(HeldRows())));
    for (const auto& encoder : encoders_) MRL_RETURN_IF_ERROR(Write(encoder->Finish()));
    MRL_RETURN_IF_ERROR(file_->Append(0, format::AsBytes<uint64_t>({&rows_, 1})));
    return file_->Finish(SideFileHeader(format::FileKind::kScan, segment.uuid, schema_)).status();
  }

 private:
  std::vector<const float*> HeldRows() const {
    std::vector<const float*> rows;
    for (size_t i = 0; i < held_.size(); i += held_dims_) rows.push_back(held_.data() + i);
    return rows;
  }

  format::Pieces EncodeRows(absl::Span<const float* const> rows) {
    for (const auto& encoder : encoders_) encoder->Begin(rows.size());
    ForEachRange(rows.size(), kernels::kBlockRows, threads_, [&](size_t begin, size_t end) {
      for (const auto& encoder : encoders_) {
        encoder->EncodeBlock(begin / kernels::kBlockRows, rows.subspan(begin, end - begin));
      }
    });
    format::Pieces pieces;
    for (const auto& encoder : encoders_) {
      for (format::Piece& piece : encoder->Take()) pieces.push_back(std::move(piece));
    }
    return pieces;
  }

  const Schema schema_;
  const std::unique_ptr<format::SectionFileWriter> file_;
  const uint32_t threads_;
  std::vector<std::unique_ptr<CodeEncoder>> encoders_;
  uint32_t held_dims_ = 0;   // of the longest code
  std::vector<float> held_;  // rows that do not fill a block yet, held_dims_ each
  uint64_t rows_ = 0;
};

ScanWriter::ScanWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ScanWriter::~ScanWriter() = default;

absl::StatusOr<std::unique_ptr<ScanWriter>> ScanWriter::Create(FileSystem& files,
                                                               const std::string& path,
                                                               const Schema& schema,
                                                               uint32_t rows_max,
                                                               uint32_t threads) {
  std::vector<format::SectionSpec> sections;
  sections.push_back({.name = std::string(kRowsSection), .bytes_max = sizeof(uint64_t)});
  for (const Code& code : schema.codes) {
    for (format::SectionSpec& section : CodeSections(schema, code, rows_max)) {
      sections.push_back(std::move(section));
    }
  }
  MRL_ASSIGN_OR_RETURN(auto file, format::SectionFileWriter::Create(files, path, sections));
  return std::unique_ptr<ScanWriter>(
      new ScanWriter(std::make_unique<Impl>(schema, std::move(file), threads)));
}

absl::Status ScanWriter::Append(absl::Span<const float> vectors) {
  return impl_->Write(impl_->Encode(vectors));
}

format::Pieces ScanWriter::Encode(absl::Span<const float> vectors) {
  return impl_->Encode(vectors);
}

absl::Status ScanWriter::Write(const format::Pieces& pieces) {
  MRL_RETURN_IF_ERROR(impl_->Write(pieces));
  impl_->StartSync();
  return absl::OkStatus();
}

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
