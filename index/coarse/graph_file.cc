#include "index/coarse/graph_file.h"

#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "index/coarse/bit_codes.h"
#include "index/coarse/code_sections.h"
#include "index/coarse/graph.h"
#include "index/coarse/graph_equal.h"
#include "index/coarse/graph_links.h"
#include "index/coarse/graph_refine.h"
#include "index/coarse/side_file.h"

namespace mrl::coarse {
namespace {

// Sections: `about`, then u32 links [rows][degree], then those of the code.
constexpr absl::string_view kAboutSection = "about";
constexpr absl::string_view kLinksSection = "links";
constexpr size_t kCodeSection = 2;

// As it lies in the file.
struct About {
  uint32_t rows = 0;
  uint32_t degree = 0;
  uint32_t code_dims = 0;
  uint32_t code_bits = 0;

  Code code() const { return {code_dims, code_bits}; }
  IndexSpec spec() const {
    return {.kind = "graph", .dims = code_dims, .code = code(), .degree = degree};
  }
  uint64_t links_bytes() const { return uint64_t{rows} * degree * sizeof(uint32_t); }
};

std::vector<format::SectionSpec> Sections(const Schema& schema, const About& about) {
  std::vector<format::SectionSpec> sections = {
      {.name = std::string(kAboutSection), .bytes_max = sizeof(About)},
      {.name = std::string(kLinksSection), .bytes_max = about.links_bytes()}};
  for (format::SectionSpec& section : CodeSections(schema, about.code(), about.rows)) {
    sections.push_back(std::move(section));
  }
  return sections;
}

absl::StatusOr<GraphCodes> EncodeRows(const store::Segment& segment, Code code, uint32_t threads) {
  GraphCodes codes = {.code = code, .words = {}, .calibration = {}};
  MRL_ASSIGN_OR_RETURN(codes.words,
                       Buffer::Allocate(segment.rows() * BitWords(code) * sizeof(uint64_t)));
  size_t filled = 0;
  const Places places = {.count = segment.rows(),
                         .row_at = [](size_t place) { return static_cast<uint32_t>(place); }};
  const auto take = [&](const format::Pieces& pieces) {
    for (const format::Piece& piece : pieces) {
      if (piece.section == kCodeSection) {
        CHECK(filled + piece.bytes.size() <= codes.words.size());
        std::memcpy(codes.words.data() + filled, piece.bytes.data(), piece.bytes.size());
        filled += piece.bytes.size();
      } else {
        codes.calibration.resize(piece.bytes.size() / sizeof(float));
        std::memcpy(codes.calibration.data(), piece.bytes.data(), piece.bytes.size());
      }
    }
    return absl::OkStatus();
  };
  MRL_RETURN_IF_ERROR(EncodePlaces(segment, code, kCodeSection, places, threads, take));
  CHECK(filled == codes.words.size());
  return codes;
}

absl::StatusOr<GraphLinks> LinkRows(const store::Segment& segment, const GraphCodes& codes,
                                    uint32_t degree, const BuildContext& context) {
  const EqualRows equal(codes, segment.rows());
  MRL_ASSIGN_OR_RETURN(const GraphCodes distinct, equal.CodesOfFirsts(codes));
  const auto count = static_cast<uint32_t>(equal.firsts().size());
  MRL_ASSIGN_OR_RETURN(GraphLinks by_signs, LinkBySigns(distinct, count, context));
  MRL_ASSIGN_OR_RETURN(const GraphLinks refined, RefineLinks({segment, equal.firsts()}, distinct,
                                                             std::move(by_signs), degree, context));
  return equal.Expand(refined);
}

absl::StatusOr<About> LoadAbout(const format::SectionFileReader& reader, const std::string& path,
                                const store::Segment& segment) {
  const Schema& schema = segment.schema();
  MRL_ASSIGN_OR_RETURN(const auto about, LoadStruct<About>(reader, std::string(kAboutSection)));
  if (about.rows != segment.rows()) {
    return absl::DataLossError(
        absl::StrCat(path, ": links of ", about.rows, " rows, the segment has ", segment.rows()));
  }
  if (about.degree < IndexSpec::kDegreeMin || about.degree > IndexSpec::kDegreeMax ||
      about.code_bits != 1 || schema.LevelOf(about.code_dims) < 0) {
    return absl::DataLossError(absl::StrCat(path, ": section `", kAboutSection, "` has ",
                                            about.degree, " links a row of the code ",
                                            about.code_dims, "b", about.code_bits));
  }
  return about;
}

absl::StatusOr<GraphLinks> LoadLinks(const format::SectionFileReader& reader,
                                     const std::string& path, const About& about) {
  GraphLinks links;
  links.degree = about.degree;
  MRL_ASSIGN_OR_RETURN(links.rows,
                       LoadSection(reader, std::string(kLinksSection), about.links_bytes()));
  const uint32_t* rows = links.rows.As<uint32_t>();
  for (uint64_t i = 0; i < uint64_t{about.rows} * about.degree; ++i) {
    if (rows[i] < about.rows || rows[i] == GraphLinks::kNoRow) continue;
    return absl::DataLossError(absl::StrCat(path, ": section `", kLinksSection, "` links row ",
                                            i / about.degree, " to row ", rows[i],
                                            ", the segment has ", about.rows));
  }
  return links;
}

}  // namespace

uint64_t GraphMemoryBytes(const IndexSpec& spec, uint64_t rows) {
  return rows * (spec.degree * sizeof(uint32_t) + BitWords(spec.code) * sizeof(uint64_t));
}

absl::Status BuildGraph(FileSystem& files, const std::string& path, const store::Segment& segment,
                        const IndexSpec& spec, const BuildContext& context) {
  const Schema& schema = segment.schema();
  MRL_RETURN_IF_ERROR(spec.Validate(schema));
  const About about = {.rows = segment.rows(),
                       .degree = spec.degree,
                       .code_dims = spec.code.dims,
                       .code_bits = spec.code.bits};
  MRL_ASSIGN_OR_RETURN(const GraphCodes codes, EncodeRows(segment, spec.code, context.threads));
  MRL_ASSIGN_OR_RETURN(const GraphLinks links, LinkRows(segment, codes, spec.degree, context));
  MRL_ASSIGN_OR_RETURN(const auto file,
                       format::SectionFileWriter::Create(files, path, Sections(schema, about)));
  MRL_RETURN_IF_ERROR(file->Append(0, format::AsBytes<About>({&about, 1})));
  MRL_RETURN_IF_ERROR(file->Append(1, {links.rows.data(), links.rows.size()}));
  MRL_RETURN_IF_ERROR(file->Append(kCodeSection, {codes.words.data(), codes.words.size()}));
  MRL_RETURN_IF_ERROR(file->Append(kCodeSection + 1, format::AsBytes<float>(codes.calibration)));
  return file->Finish(SideFileHeader(format::FileKind::kGraph, segment.info().uuid, schema))
      .status();
}

absl::StatusOr<std::unique_ptr<CoarseIndex>> OpenGraph(
    FileSystem& files, const std::string& path, std::shared_ptr<const store::Segment> segment,
    MemoryAccount& account) {
  MRL_ASSIGN_OR_RETURN(const auto reader,
                       OpenSideFile(files, path, format::FileKind::kGraph, *segment));
  MRL_ASSIGN_OR_RETURN(const About about, LoadAbout(*reader, path, *segment));
  MRL_ASSIGN_OR_RETURN(auto memory,
                       account.Reserve(GraphMemoryBytes(about.spec(), about.rows), path));
  MRL_ASSIGN_OR_RETURN(GraphLinks links, LoadLinks(*reader, path, about));
  MRL_ASSIGN_OR_RETURN(CodedBits bits,
                       LoadBits(*reader, path, segment->schema(), about.code(), about.rows));
  GraphCodes codes = {about.code(), std::move(bits.words), std::move(bits.calibration)};
  return std::make_unique<GraphIndex>(std::move(segment), std::move(links), std::move(codes),
                                      std::move(memory));
}

}  // namespace mrl::coarse
