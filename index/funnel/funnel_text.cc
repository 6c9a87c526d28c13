// The text form of a funnel, read and written.
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "index/funnel/plan.h"

namespace mrl::funnel {
namespace {

constexpr double kExactIntegerMax = 1e15;

absl::Status Refused(absl::string_view text, absl::string_view problem) {
  return absl::InvalidArgumentError(
      absl::StrCat("funnel `", text, "`: ", problem, "; an example: scan/16b8:2000,64:400,512:10"));
}

// Digits only: SimpleAtoi would take signs and spaces.
bool ParseCount(absl::string_view text, uint32_t* value) {
  for (const char c : text) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
  }
  return absl::SimpleAtoi(text, value) && *value > 0;
}

bool IsName(absl::string_view text) {
  for (const char c : text) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '_') return false;
  }
  return !text.empty();
}

absl::Status ParseParams(absl::string_view whole, absl::string_view text, coarse::Params* params) {
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::pair<absl::string_view, absl::string_view> field =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    const absl::string_view name = absl::StripAsciiWhitespace(field.first);
    double value = 0;
    if (!IsName(name) || !absl::SimpleAtod(field.second, &value) || !std::isfinite(value)) {
      return Refused(whole, absl::StrCat("`", part, "` is not name=number"));
    }
    if (!params->emplace(std::string(name), value).second) {
      return Refused(whole, absl::StrCat("the parameter `", name, "` comes twice"));
    }
  }
  return absl::OkStatus();
}

// kind [ "(" params ")" ], without the slash.
absl::Status ParseKind(absl::string_view whole, absl::string_view text, Funnel* funnel) {
  const size_t open = text.find('(');
  const absl::string_view kind = absl::StripAsciiWhitespace(text.substr(0, open));
  if (!IsName(kind)) {
    return Refused(whole, absl::StrCat("`", kind, "` is not the name of a coarse kind"));
  }
  funnel->kind = std::string(kind);
  if (open == absl::string_view::npos) return absl::OkStatus();
  absl::string_view params = absl::StripAsciiWhitespace(text.substr(open + 1));
  if (params.empty() || params.back() != ')') {
    return Refused(whole, "the parameters of the kind do not end with `)`");
  }
  params.remove_suffix(1);
  return ParseParams(whole, params, &funnel->params);
}

// dims [ "b" bits ] [ ":" keep ].
absl::Status ParseStage(absl::string_view whole, absl::string_view text, Stage* stage) {
  const absl::string_view trimmed = absl::StripAsciiWhitespace(text);
  const size_t colon = trimmed.find(':');
  const absl::string_view code = trimmed.substr(0, colon);
  const size_t b = code.find('b');
  if (!ParseCount(code.substr(0, b), &stage->dims)) {
    return Refused(whole, absl::StrCat("stage `", trimmed, "` does not begin with its dims"));
  }
  if (b != absl::string_view::npos && !ParseCount(code.substr(b + 1), &stage->bits)) {
    return Refused(whole, absl::StrCat("stage `", trimmed, "`: no number of bits after `b`"));
  }
  if (colon != absl::string_view::npos && !ParseCount(trimmed.substr(colon + 1), &stage->keep)) {
    return Refused(whole, absl::StrCat("stage `", trimmed, "`: keep is not a number from 1 to ",
                                       Limits::kKeepMax));
  }
  return absl::OkStatus();
}

// Counts without a fraction, other values to the last bit.
std::string FormatValue(double value) {
  if (std::trunc(value) == value && std::abs(value) < kExactIntegerMax) {
    return absl::StrFormat("%.0f", value);
  }
  std::array<char, 32> text;  // the shortest that reads as the same number
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

std::string FormatStage(const Stage& stage) {
  std::string text = absl::StrCat(stage.dims);
  if (stage.bits != 0) absl::StrAppend(&text, "b", stage.bits);
  if (stage.keep != 0) absl::StrAppend(&text, ":", stage.keep);
  return text;
}

}  // namespace

absl::StatusOr<Funnel> ParseFunnel(absl::string_view text) {
  Funnel funnel;
  absl::string_view stages = text;
  if (const size_t slash = text.find('/'); slash != absl::string_view::npos) {
    MRL_RETURN_IF_ERROR(ParseKind(text, text.substr(0, slash), &funnel));
    stages = text.substr(slash + 1);
  }
  for (const absl::string_view part : absl::StrSplit(stages, ',')) {
    MRL_RETURN_IF_ERROR(ParseStage(text, part, &funnel.stages.emplace_back()));
  }
  return funnel;
}

std::string FormatFunnel(const Funnel& funnel) {
  std::string text = funnel.kind;
  if (!funnel.params.empty()) {
    absl::StrAppend(&text, "(",
                    absl::StrJoin(funnel.params, ",",
                                  [](std::string* out, const auto& param) {
                                    absl::StrAppend(out, param.first, "=",
                                                    FormatValue(param.second));
                                  }),
                    ")");
  }
  if (!text.empty()) text += "/";
  absl::StrAppend(&text,
                  absl::StrJoin(funnel.stages, ",", [](std::string* out, const Stage& stage) {
                    *out += FormatStage(stage);
                  }));
  return text;
}

}  // namespace mrl::funnel
