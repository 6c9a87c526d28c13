#include "index/coarse/index_spec.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "index/coarse/faiss_dims.h"
#include "index/coarse/graph_file.h"
#include "index/coarse/ivf_file.h"

namespace mrl::coarse {
namespace {

constexpr uint32_t kClusterDims = 128;
constexpr uint32_t kSignDimsMax = 256;
constexpr uint32_t kGraphDimsMax = 512;
constexpr uint32_t kByteDimsMax = 64;

uint32_t Distance(uint32_t a, uint32_t b) { return a > b ? a - b : b - a; }

// The longest stored signs of up to `dims_max` dimensions, if any.
Code LongestSigns(const Schema& schema, uint32_t dims_max) {
  Code signs;
  for (const uint32_t dims : schema.ladder) {
    if (dims <= dims_max && schema.HasCode(dims, 1)) signs = {dims, 1};
  }
  return signs;
}

// The code that lists hold by default; none where the schema has none that would do.
Code ListCode(const Schema& schema) {
  const Code signs = LongestSigns(schema, kSignDimsMax);
  if (signs.dims != 0) return signs;
  Code bytes;
  for (const uint32_t dims : schema.ladder) {
    if ((dims <= kByteDimsMax || bytes.dims == 0) && schema.HasCode(dims, 8)) bytes = {dims, 8};
  }
  return bytes;
}

absl::Status ValidateFaiss(const IndexSpec& spec) {
  if (spec.factory.empty() || spec.factory.size() > IndexSpec::kFactoryBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("faiss: the factory string has ",
                                                   spec.factory.size(), " bytes, it has 1 to ",
                                                   IndexSpec::kFactoryBytesMax));
  }
  if (spec.lists == 0 && spec.code == Code{} && spec.degree == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "faiss: lists belong to the kind ivf_scan, links to graph, and a code to these two");
}

absl::Status ValidateIvfScan(const IndexSpec& spec, const Schema& schema) {
  if (!spec.factory.empty()) {
    return absl::InvalidArgumentError("ivf_scan: a factory string belongs to the kind faiss");
  }
  if (spec.lists > IndexSpec::kListsMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("ivf_scan: ", spec.lists, " lists, the limit is ", IndexSpec::kListsMax));
  }
  if (spec.degree != 0) {
    return absl::InvalidArgumentError("ivf_scan: links of a row belong to the kind graph");
  }
  if (schema.HasCode(spec.code.dims, spec.code.bits)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "ivf_scan: the code ", spec.code.dims == 0 ? "of the lists" : FormatCodes({spec.code}),
      " is not stored, these are: ", FormatCodes(schema.codes)));
}

absl::Status ValidateGraph(const IndexSpec& spec, const Schema& schema) {
  if (!spec.factory.empty() || spec.lists != 0) {
    return absl::InvalidArgumentError(
        "graph: a factory string belongs to the kind faiss, lists to ivf_scan");
  }
  if (spec.degree < IndexSpec::kDegreeMin || spec.degree > IndexSpec::kDegreeMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("graph: ", spec.degree, " links a row, it is a number from ",
                     IndexSpec::kDegreeMin, " to ", IndexSpec::kDegreeMax));
  }
  if (spec.code.bits != 1 || !schema.HasCode(spec.code.dims, 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("graph: it is walked by stored signs, such as 512b1, and not by ",
                     spec.code.dims == 0 ? "nothing" : FormatCodes({spec.code}),
                     "; stored codes: ", FormatCodes(schema.codes)));
  }
  if (spec.dims == spec.code.dims) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("graph: ", spec.dims, " dims, the code has ",
                                                 spec.code.dims, "; leave dims out"));
}

IndexSpec GraphDefaults(IndexSpec spec, const Schema& schema) {
  if (spec.code == Code{}) {
    spec.code = LongestSigns(schema, spec.dims == 0 ? kGraphDimsMax : spec.dims);
  }
  if (spec.dims == 0) spec.dims = spec.code.dims;
  if (spec.degree == 0) spec.degree = IndexSpec::kDegree;
  return spec;
}

}  // namespace

absl::Status IndexSpec::Validate(const Schema& schema) const {
  if (kind != "faiss" && kind != "ivf_scan" && kind != "graph") {
    return absl::InvalidArgumentError(absl::StrCat(
        "the coarse kind `", kind, "` cannot be built, these can: faiss, ivf_scan, graph"));
  }
  if (kind == "graph") return ValidateGraph(*this, schema);
  if (schema.LevelOf(dims) < 0) {
    return absl::InvalidArgumentError(absl::StrCat(kind, ": ", dims, " dims are not on the ladder ",
                                                   FormatLadder(schema.ladder)));
  }
  return kind == "faiss" ? ValidateFaiss(*this) : ValidateIvfScan(*this, schema);
}

absl::Status IndexSpec::ValidateAsked(const Schema& schema) const {
  if (!leaves_dims() || !HasProductQuantiser(factory)) return Validate(schema);
  IndexSpec chosen = *this;
  chosen.dims = schema.dim;
  return chosen.Validate(schema);
}

std::string IndexSpec::ToText() const {
  if (kind == "faiss") return absl::StrCat("faiss ", factory, " on ", dims, " dims");
  if (kind == "graph")
    return absl::StrCat("graph ", FormatCodes({code}), ", ", degree, " links a row");
  return absl::StrCat(kind, " on ", dims, " dims, ", FormatCodes({code}), ", ",
                      lists == 0 ? "a list for 256 rows" : absl::StrCat(lists, " lists"));
}

IndexSpec WithDefaults(IndexSpec spec, const Schema& schema) {
  if (spec.kind == "graph") return GraphDefaults(std::move(spec), schema);
  if (spec.kind != "ivf_scan") return spec;
  if (spec.code == Code{}) spec.code = ListCode(schema);
  if (spec.dims != 0) return spec;
  spec.dims = schema.ladder.front();
  for (const uint32_t dims : schema.ladder) {
    if (Distance(dims, kClusterDims) < Distance(spec.dims, kClusterDims)) spec.dims = dims;
  }
  return spec;
}

std::vector<std::string> KnownKinds() { return {"scan", "faiss", "ivf_scan", "graph"}; }

std::optional<format::FileKind> FileKindOf(absl::string_view kind) {
  if (kind == "scan") return format::FileKind::kScan;
  if (kind == "faiss") return format::FileKind::kFaiss;
  if (kind == "ivf_scan") return format::FileKind::kIvfScan;
  if (kind == "graph") return format::FileKind::kGraph;
  return std::nullopt;
}

absl::Status BuildIndex(FileSystem& files, const std::string& path, const store::Segment& segment,
                        const IndexSpec& spec, const BuildContext& context) {
  if (spec.kind == "ivf_scan") return BuildIvfScan(files, path, segment, spec, context);
  if (spec.kind == "graph") return BuildGraph(files, path, segment, spec, context);
  return BuildFaiss(files, path, segment,
                    {spec.factory, spec.dims, context.stopped, context.gpu, context.threads});
}

uint64_t ExpectedMemoryBytes(const Schema& schema, const IndexSpec& spec, uint64_t rows) {
  if (spec.kind == "ivf_scan") return IvfScanMemoryBytes(schema, spec, rows);
  return spec.kind == "graph" ? GraphMemoryBytes(spec, rows) : 0;
}

absl::StatusOr<std::unique_ptr<CoarseIndex>> OpenIndex(
    FileSystem& files, const std::string& path, absl::string_view kind,
    std::shared_ptr<const store::Segment> segment, MemoryAccount& account) {
  if (kind == "scan") return OpenScan(files, path, std::move(segment), account);
  if (kind == "faiss") return OpenFaiss(files, path, std::move(segment), account);
  if (kind == "ivf_scan") return OpenIvfScan(files, path, std::move(segment), account);
  if (kind == "graph") return OpenGraph(files, path, std::move(segment), account);
  return absl::FailedPreconditionError(absl::StrCat(
      path, ": the coarse kind '", kind,
      "' is not known to this program, these are: ", absl::StrJoin(KnownKinds(), ", ")));
}

}  // namespace mrl::coarse
