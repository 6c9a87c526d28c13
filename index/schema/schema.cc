#include "index/schema/schema.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"

namespace mrl {
namespace {

template <typename Enum>
struct Name {
  absl::string_view text;
  Enum value;
};
constexpr Name<Metric> kMetrics[] = {
    {"cosine", Metric::kCosine}, {"ip", Metric::kInnerProduct}, {"l2", Metric::kL2}};
constexpr Name<StorageType> kStorageTypes[] = {{"f32", StorageType::kF32},
                                               {"f16", StorageType::kF16},
                                               {"bf16", StorageType::kBf16},
                                               {"int8", StorageType::kInt8}};
constexpr Name<Transform> kTransforms[] = {{"none", Transform::kNone},
                                           {"layer_norm", Transform::kLayerNorm},
                                           {"rotation", Transform::kRotation}};

template <typename Enum, size_t N>
absl::string_view NameOf(const Name<Enum> (&names)[N], Enum value) {
  for (const auto& name : names) {
    if (name.value == value) return name.text;
  }
  return "?";
}

template <typename Enum, size_t N>
absl::StatusOr<Enum> Parse(const Name<Enum> (&names)[N], absl::string_view what,
                           absl::string_view text) {
  std::vector<absl::string_view> accepted;
  for (const auto& name : names) {
    if (name.text == text) return name.value;
    accepted.push_back(name.text);
  }
  return absl::InvalidArgumentError(
      absl::StrCat(what, " is '", text, "'; one of ", absl::StrJoin(accepted, ", "), " is needed"));
}

template <typename Enum, size_t N>
bool Known(const Name<Enum> (&names)[N], Enum value) {
  return NameOf(names, value) != "?";
}

absl::StatusOr<uint32_t> ParseNumber(absl::string_view what, absl::string_view text) {
  uint32_t value = 0;
  if (!absl::SimpleAtoi(text, &value)) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": '", text, "' is not a whole number"));
  }
  return value;
}

absl::Status ValidateLadder(const Schema& schema) {
  if (schema.ladder.empty() || schema.ladder.size() > Schema::kLevelsMax) {
    return absl::InvalidArgumentError(absl::StrCat("the ladder has ", schema.ladder.size(),
                                                   " steps; 1 to ", Schema::kLevelsMax,
                                                   " are allowed"));
  }
  uint32_t previous = 0;
  for (const uint32_t dims : schema.ladder) {
    if (dims <= previous) {
      return absl::InvalidArgumentError(
          absl::StrCat("ladder step ", dims, " follows ", previous, "; steps must increase"));
    }
    if (dims > schema.dim) {
      return absl::InvalidArgumentError(
          absl::StrCat("ladder step ", dims, " is above dim ", schema.dim));
    }
    previous = dims;
  }
  if (previous != schema.dim) {
    return absl::InvalidArgumentError(
        absl::StrCat("the ladder ends at ", previous, "; its last step must be dim ", schema.dim));
  }
  return absl::OkStatus();
}

absl::Status ValidateRotation(const Schema& schema) {
  const bool has_rotation = schema.rotation.checksum != 0;
  if (schema.transform != Transform::kRotation) {
    if (!has_rotation) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("there is a rotation; the transform is ", ToString(schema.transform)));
  }
  if (!has_rotation) {
    return absl::InvalidArgumentError(
        "the transform is rotation, which is learned from vectors: build the collection from a "
        "file with mrl-index build --rotate pca");
  }
  if (schema.dim > Schema::kRotationDimMax) {
    return absl::InvalidArgumentError(absl::StrCat("dim is ", schema.dim, "; a rotation has ",
                                                   Schema::kRotationDimMax, " at most"));
  }
  return absl::OkStatus();
}

absl::Status ValidateCode(const Schema& schema, const Code& code) {
  const std::string name = FormatCodes({code});
  if (code.bits != 1 && code.bits != 2 && code.bits != 4 && code.bits != 8) {
    return absl::InvalidArgumentError(
        absl::StrCat("code ", name, ": bits are ", code.bits, "; 1, 2, 4 or 8 are needed"));
  }
  if (schema.LevelOf(code.dims) < 0) {
    return absl::InvalidArgumentError(absl::StrCat("code ", name, ": ", code.dims,
                                                   " dimensions are not on the ladder ",
                                                   FormatLadder(schema.ladder)));
  }
  if (!code.nests()) return absl::OkStatus();
  if (schema.metric != Metric::kCosine) {
    return absl::InvalidArgumentError(absl::StrCat("code ", name, ": ", code.bits,
                                                   " bits need the metric cosine; the metric is ",
                                                   ToString(schema.metric)));
  }
  if (code.dims * code.bits > Code::kNestingBitsMax) {
    return absl::InvalidArgumentError(absl::StrCat("code ", name, ": ", code.dims * code.bits,
                                                   " bits a row; the limit is ",
                                                   Code::kNestingBitsMax));
  }
  return absl::OkStatus();
}

absl::Status ValidateCodes(const Schema& schema) {
  std::pair<uint32_t, uint32_t> previous = {0, 0};
  for (const Code& code : schema.codes) {
    MRL_RETURN_IF_ERROR(ValidateCode(schema, code));
    const std::string name = FormatCodes({code});
    if (std::pair(code.dims, code.bits) <= previous) {
      return absl::InvalidArgumentError(
          absl::StrCat("code ", name, " is out of order or named twice"));
    }
    previous = {code.dims, code.bits};
    for (const Code& other : schema.codes) {
      if (&other == &code || !code.Serves(other)) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          "code ", name, " contains ", FormatCodes({other}), ": name ", name, " only"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

int Schema::LevelOf(uint32_t dims) const {
  const auto at = std::lower_bound(ladder.begin(), ladder.end(), dims);
  return at != ladder.end() && *at == dims ? static_cast<int>(at - ladder.begin()) : -1;
}

bool Schema::HasCode(uint32_t dims, uint32_t bits) const {
  const Code wanted = {dims, bits};
  return std::any_of(codes.begin(), codes.end(),
                     [&](const Code& code) { return code.Serves(wanted); });
}

absl::Status Schema::Validate() const {
  if (dim == 0 || dim > kDimMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("dim is ", dim, "; 1 to ", kDimMax, " is allowed"));
  }
  if (!Known(kMetrics, metric)) return absl::InvalidArgumentError("unknown metric");
  if (!Known(kStorageTypes, storage)) return absl::InvalidArgumentError("unknown storage type");
  if (!Known(kTransforms, transform)) return absl::InvalidArgumentError("unknown transform");
  MRL_RETURN_IF_ERROR(ValidateRotation(*this));
  MRL_RETURN_IF_ERROR(ValidateLadder(*this));
  MRL_RETURN_IF_ERROR(ValidateCodes(*this));
  return ValidateFields(fields);
}

std::vector<uint32_t> DefaultLadder(uint32_t dim) {
  std::vector<uint32_t> ladder;
  // In 64 bits: twice a step of 2^31 is no longer 0.
  for (uint64_t dims = 16; dims < dim; dims *= 2) ladder.push_back(static_cast<uint32_t>(dims));
  ladder.push_back(dim);
  return ladder;
}

std::vector<Code> DefaultCodes(const std::vector<uint32_t>& ladder, Metric metric) {
  uint32_t signs = 0;
  for (const uint32_t dims : ladder) {
    if (metric == Metric::kCosine && dims >= 256 && dims <= 512) signs = dims;
  }
  const uint32_t dims_max = signs > 0 ? 64 : 256;
  std::vector<Code> codes;
  for (const uint32_t dims : ladder) {
    if (dims <= dims_max || (codes.empty() && signs == 0)) codes.push_back({dims, 8});
  }
  if (signs > 0) codes.push_back({signs, 1});
  return codes;
}

absl::string_view ToString(Metric metric) { return NameOf(kMetrics, metric); }
absl::string_view ToString(StorageType type) { return NameOf(kStorageTypes, type); }
absl::string_view ToString(Transform transform) { return NameOf(kTransforms, transform); }
absl::StatusOr<Metric> ParseMetric(absl::string_view text) {
  return Parse(kMetrics, "metric", text);
}
absl::StatusOr<StorageType> ParseStorageType(absl::string_view text) {
  return Parse(kStorageTypes, "storage", text);
}
absl::StatusOr<Transform> ParseTransform(absl::string_view text) {
  return Parse(kTransforms, "transform", text);
}

absl::StatusOr<std::vector<uint32_t>> ParseLadder(absl::string_view text) {
  std::vector<uint32_t> ladder;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    MRL_ASSIGN_OR_RETURN(const uint32_t dims, ParseNumber("ladder", part));
    ladder.push_back(dims);
  }
  return ladder;
}

absl::StatusOr<std::vector<Code>> ParseCodes(absl::string_view text) {
  std::vector<Code> codes;
  if (text.empty() || text == "none") return codes;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::vector<absl::string_view> pair = absl::StrSplit(part, 'b');
    if (pair.size() != 2) {
      return absl::InvalidArgumentError(
          absl::StrCat("codes: '", part, "' is not DIMSbBITS, such as 64b8"));
    }
    Code code;
    MRL_ASSIGN_OR_RETURN(code.dims, ParseNumber("codes", pair[0]));
    MRL_ASSIGN_OR_RETURN(code.bits, ParseNumber("codes", pair[1]));
    codes.push_back(code);
  }
  return codes;
}

std::string FormatLadder(const std::vector<uint32_t>& ladder) { return absl::StrJoin(ladder, ","); }

std::string FormatCodes(const std::vector<Code>& codes) {
  if (codes.empty()) return "none";
  return absl::StrJoin(codes, ",", [](std::string* out, const Code& code) {
    absl::StrAppend(out, code.dims, "b", code.bits);
  });
}

}  // namespace mrl
