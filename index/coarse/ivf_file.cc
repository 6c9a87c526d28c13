#include "index/coarse/ivf_file.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/coarse/bit_codes.h"
#include "index/coarse/centroids.h"
#include "index/coarse/code_sections.h"
#include "index/coarse/ivf_scan.h"
#include "index/coarse/scan_codes.h"
#include "index/coarse/side_file.h"

namespace mrl::coarse {
namespace {

// Sections: `about`, then u32 begins [lists + 1] in blocks, u32 rows by place, f32 centres
// [lists][cluster_dims], then those of the code by place.
constexpr absl::string_view kAboutSection = "about";
constexpr absl::string_view kBeginsSection = "begins";
constexpr absl::string_view kRowsSection = "rows";
constexpr absl::string_view kCentresSection = "centres";
constexpr size_t kCodeSection = 4;
constexpr uint32_t kRowsPerList = 256;
constexpr uint32_t kRowsPerListMin = 64;
constexpr uint32_t kTrainRowsPerList = 64;

// As it lies in the file.
struct About {
  uint32_t rows = 0;
  uint32_t lists = 0;
  uint32_t cluster_dims = 0;
  uint32_t code_dims = 0;
  uint32_t code_bits = 0;
  uint32_t places = 0;

  Code code() const { return {code_dims, code_bits}; }
};

uint32_t ListCount(const IndexSpec& spec, uint64_t rows) {
  const uint64_t wanted = spec.lists != 0 ? spec.lists : rows / kRowsPerList;
  const uint64_t most = std::clamp<uint64_t>(rows / kRowsPerListMin, 1, IndexSpec::kListsMax);
  return static_cast<uint32_t>(std::clamp<uint64_t>(wanted, 1, most));
}

// Every n-th row of the segment: rows that came together are often alike.
absl::StatusOr<std::vector<float>> TrainingRows(const store::Segment& segment, size_t level,
                                                uint32_t lists) {
  const uint64_t rows = segment.rows();
  const uint64_t wanted = std::min<uint64_t>(rows, uint64_t{lists} * kTrainRowsPerList);
  const size_t dims = segment.schema().ladder[level];
  std::vector<float> vectors(wanted * dims);
  for (uint64_t i = 0; i < wanted; ++i) {
    MRL_RETURN_IF_ERROR(
        segment.Prefix(static_cast<uint32_t>(i * rows / wanted), level, vectors.data() + i * dims));
  }
  return vectors;
}

// Rows by list, in each in their own order, and where the lists begin.
struct Dealt {
  std::vector<uint32_t> begins;  // in blocks
  std::vector<uint32_t> rows;    // by place
};

Dealt Deal(const std::vector<uint32_t>& list_of_row, uint32_t lists) {
  std::vector<uint32_t> counts(lists);
  for (const uint32_t list : list_of_row) ++counts[list];
  Dealt dealt;
  dealt.begins.push_back(0);
  for (const uint32_t count : counts) {
    dealt.begins.push_back(dealt.begins.back() + static_cast<uint32_t>(BlockCount(count)));
  }
  dealt.rows.assign(dealt.begins.back() * kernels::kBlockRows, IvfLists::kNoRow);
  std::vector<uint32_t> next(lists);
  for (uint32_t list = 0; list < lists; ++list) {
    next[list] = static_cast<uint32_t>(dealt.begins[list] * kernels::kBlockRows);
  }
  for (uint32_t row = 0; row < list_of_row.size(); ++row)
    dealt.rows[next[list_of_row[row]]++] = row;
  return dealt;
}

std::vector<format::SectionSpec> Sections(const Schema& schema, const About& about) {
  std::vector<format::SectionSpec> sections = {
      {.name = std::string(kAboutSection), .bytes_max = sizeof(About)},
      {.name = std::string(kBeginsSection),
       .bytes_max = (uint64_t{about.lists} + 1) * sizeof(uint32_t)},
      {.name = std::string(kRowsSection), .bytes_max = uint64_t{about.places} * sizeof(uint32_t)},
      {.name = std::string(kCentresSection),
       .bytes_max = uint64_t{about.lists} * about.cluster_dims * sizeof(float)}};
  for (format::SectionSpec& section : CodeSections(schema, about.code(), about.places)) {
    sections.push_back(std::move(section));
  }
  return sections;
}

absl::StatusOr<About> LoadAbout(const format::SectionFileReader& reader, const std::string& path,
                                const store::Segment& segment) {
  const Schema& schema = segment.schema();
  MRL_ASSIGN_OR_RETURN(const auto about, LoadStruct<About>(reader, std::string(kAboutSection)));
  if (about.rows != segment.rows()) {
    return absl::DataLossError(
        absl::StrCat(path, ": lists of ", about.rows, " rows, the segment has ", segment.rows()));
  }
  if (about.lists == 0 || about.lists > std::max(1u, about.rows) ||
      about.places % kernels::kBlockRows != 0 ||
      about.places > uint64_t{about.rows} + uint64_t{about.lists} * kernels::kBlockRows) {
    return absl::DataLossError(absl::StrCat(path, ": section `", kAboutSection, "` has ",
                                            about.lists, " lists of ", about.places, " places"));
  }
  if (schema.LevelOf(about.cluster_dims) < 0 || !schema.HasCode(about.code_dims, about.code_bits)) {
    return absl::DataLossError(absl::StrCat(path, ": section `", kAboutSection,
                                            "` names prefixes that the schema does not have"));
  }
  return about;
}

// Each row must have one place, and each list whole blocks.
absl::Status CheckLists(const std::string& path, const IvfLists& lists, const About& about) {
  if (lists.begins.front() != 0 || !std::is_sorted(lists.begins.begin(), lists.begins.end()) ||
      lists.begins.back() != about.places / kernels::kBlockRows) {
    return absl::DataLossError(
        absl::StrCat(path, ": section `", kBeginsSection, "` does not cut the places into lists"));
  }
  std::vector<bool> seen(about.rows);
  uint32_t rows = 0;
  for (uint32_t place = 0; place < about.places; ++place) {
    const uint32_t row = lists.row_at(place);
    if (row == IvfLists::kNoRow) continue;
    if (row >= about.rows || seen[row]) {
      return absl::DataLossError(
          absl::StrCat(path, ": section `", kRowsSection, "` has row ", row,
                       row < about.rows ? " twice" : ", which is not there"));
    }
    seen[row] = true;
    ++rows;
  }
  if (rows == about.rows) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat(path, ": section `", kRowsSection, "` has ", rows, " rows of ", about.rows));
}

absl::StatusOr<IvfLists> LoadLists(const format::SectionFileReader& reader, const std::string& path,
                                   const About& about) {
  IvfLists lists;
  MRL_ASSIGN_OR_RETURN(const Buffer begins,
                       LoadSection(reader, std::string(kBeginsSection),
                                   (uint64_t{about.lists} + 1) * sizeof(uint32_t)));
  lists.begins.assign(begins.As<uint32_t>(), begins.As<uint32_t>() + about.lists + 1);
  MRL_ASSIGN_OR_RETURN(lists.rows, LoadSection(reader, std::string(kRowsSection),
                                               uint64_t{about.places} * sizeof(uint32_t)));
  MRL_RETURN_IF_ERROR(CheckLists(path, lists, about));
  lists.filled.resize(about.places / kernels::kBlockRows);
  for (uint32_t place = 0; place < about.places; ++place) {
    if (lists.row_at(place) == IvfLists::kNoRow) continue;
    lists.filled[place / kernels::kBlockRows] |= uint64_t{1} << (place % kernels::kBlockRows);
  }
  return lists;
}

absl::StatusOr<Centroids> LoadCentroids(const format::SectionFileReader& reader,
                                        const std::string& path, const Schema& schema,
                                        const About& about) {
  const size_t values = size_t{about.lists} * about.cluster_dims;
  MRL_ASSIGN_OR_RETURN(const Buffer centres,
                       LoadSection(reader, std::string(kCentresSection), values * sizeof(float)));
  const auto vectors = absl::MakeConstSpan(centres.As<float>(), values);
  if (!std::all_of(vectors.begin(), vectors.end(), [](float x) { return std::isfinite(x); })) {
    return absl::DataLossError(
        absl::StrCat(path, ": section `", kCentresSection, "` holds NaN or infinity"));
  }
  return Centroids::Make(schema, schema.metric, about.cluster_dims, vectors);
}

absl::StatusOr<IvfCodes> LoadIvfCodes(const format::SectionFileReader& reader,
                                      const std::string& path, const Schema& schema,
                                      const About& about) {
  IvfCodes codes;
  codes.code = about.code();
  if (!codes.code.nests()) {
    MRL_ASSIGN_OR_RETURN(codes.bytes, LoadCodes(reader, path, schema, codes.code, about.places));
    return codes;
  }
  MRL_ASSIGN_OR_RETURN(CodedBits bits, LoadBits(reader, path, schema, codes.code, about.places));
  MRL_ASSIGN_OR_RETURN(codes.bits,
                       BitStrips::Make(codes.code, about.places, bits.words.As<uint64_t>()));
  codes.calibration = std::move(bits.calibration);
  return codes;
}

uint64_t MemoryBytes(const Schema& schema, const About& about) {
  const uint64_t codes = about.code().nests() ? BitStrips::MemoryBytes(about.code(), about.places)
                                              : CodeArrayBytes(schema, about.code(), about.places);
  return codes + uint64_t{about.places} * sizeof(uint32_t) + about.places / 8 +
         (uint64_t{about.lists} + 1) * sizeof(uint32_t) +
         Centroids::MemoryBytes(schema, about.cluster_dims, about.lists);
}

}  // namespace

uint64_t IvfScanMemoryBytes(const Schema& schema, const IndexSpec& spec, uint64_t rows) {
  About about = {.lists = ListCount(spec, rows),
                 .cluster_dims = spec.dims,
                 .code_dims = spec.code.dims,
                 .code_bits = spec.code.bits};
  // Each list is filled up to whole blocks, by half a block on average.
  about.places = static_cast<uint32_t>(rows + uint64_t{about.lists} * kernels::kBlockRows / 2);
  return MemoryBytes(schema, about);
}

absl::Status BuildIvfScan(FileSystem& files, const std::string& path, const store::Segment& segment,
                          const IndexSpec& spec, const BuildContext& context) {
  const Schema& schema = segment.schema();
  MRL_RETURN_IF_ERROR(spec.Validate(schema));
  About about = {.rows = segment.rows(),
                 .lists = ListCount(spec, segment.rows()),
                 .cluster_dims = spec.dims,
                 .code_dims = spec.code.dims,
                 .code_bits = spec.code.bits};
  const auto level = static_cast<size_t>(schema.LevelOf(spec.dims));
  MRL_ASSIGN_OR_RETURN(std::vector<float> training, TrainingRows(segment, level, about.lists));
  MRL_ASSIGN_OR_RETURN(
      const std::vector<float> centres,
      TrainCentroids(schema, spec.dims, about.lists, context, std::move(training)));
  MRL_ASSIGN_OR_RETURN(const Centroids centroids,
                       Centroids::Make(schema, MetricOfLists(schema.metric), spec.dims, centres));
  const auto read = [&](uint32_t row, float* out) { return segment.Prefix(row, level, out); };
  MRL_ASSIGN_OR_RETURN(const std::vector<uint32_t> list_of_row,
                       AssignAll(centroids, segment.rows(), context, read));
  const Dealt dealt = Deal(list_of_row, about.lists);
  about.places = static_cast<uint32_t>(dealt.rows.size());
  MRL_ASSIGN_OR_RETURN(const auto file,
                       format::SectionFileWriter::Create(files, path, Sections(schema, about)));
  MRL_RETURN_IF_ERROR(file->Append(0, format::AsBytes<About>({&about, 1})));
  MRL_RETURN_IF_ERROR(file->Append(1, format::AsBytes<uint32_t>(dealt.begins)));
  MRL_RETURN_IF_ERROR(file->Append(2, format::AsBytes<uint32_t>(dealt.rows)));
  MRL_RETURN_IF_ERROR(file->Append(3, format::AsBytes<float>(centres)));
  static_assert(IvfLists::kNoRow == Places::kNoRow);
  const Places places = {.count = dealt.rows.size(),
                         .row_at = [&](size_t place) { return dealt.rows[place]; }};
  MRL_RETURN_IF_ERROR(
      EncodePlaces(segment, spec.code, kCodeSection, places, context.threads,
                   [&](const format::Pieces& pieces) { return file->Append(pieces); }));
  return file->Finish(SideFileHeader(format::FileKind::kIvfScan, segment.info().uuid, schema))
      .status();
}

absl::StatusOr<std::unique_ptr<CoarseIndex>> OpenIvfScan(
    FileSystem& files, const std::string& path, std::shared_ptr<const store::Segment> segment,
    MemoryAccount& account) {
  MRL_ASSIGN_OR_RETURN(const auto reader,
                       OpenSideFile(files, path, format::FileKind::kIvfScan, *segment));
  const Schema& schema = segment->schema();
  MRL_ASSIGN_OR_RETURN(const About about, LoadAbout(*reader, path, *segment));
  MRL_ASSIGN_OR_RETURN(auto memory, account.Reserve(MemoryBytes(schema, about), path));
  MRL_ASSIGN_OR_RETURN(IvfLists lists, LoadLists(*reader, path, about));
  MRL_ASSIGN_OR_RETURN(Centroids centroids, LoadCentroids(*reader, path, schema, about));
  MRL_ASSIGN_OR_RETURN(IvfCodes codes, LoadIvfCodes(*reader, path, schema, about));
  return std::make_unique<IvfScanIndex>(std::move(segment), std::move(centroids), std::move(lists),
                                        std::move(codes), std::move(memory));
}

}  // namespace mrl::coarse
