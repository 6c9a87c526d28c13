#include "index/schema/field.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"

namespace mrl {
namespace {

struct TypeName {
  absl::string_view text;
  FieldType type;
};
constexpr std::array<TypeName, 5> kTypes = {{{"keyword", FieldType::kKeyword},
                                             {"int", FieldType::kInt},
                                             {"float", FieldType::kFloat},
                                             {"bool", FieldType::kBool},
                                             {"datetime", FieldType::kDatetime}}};

bool IsWord(absl::string_view text) {
  return !text.empty() && !absl::ascii_isdigit(static_cast<unsigned char>(text[0])) &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_';
         });
}

}  // namespace

absl::Status Field::Validate() const {
  const std::vector<absl::string_view> words = absl::StrSplit(name, '.');
  const bool is_named =
      name.size() <= kNameBytesMax && std::all_of(words.begin(), words.end(), IsWord);
  if (!is_named) {
    return absl::InvalidArgumentError(
        absl::StrCat("field '", name.substr(0, kNameBytesMax),
                     "': a name is words of letters, digits and _ with dots between, none of which "
                     "begins with a digit, ",
                     kNameBytesMax, " bytes at most"));
  }
  if (ToString(type) == "?") {
    return absl::InvalidArgumentError(absl::StrCat("field '", name, "' has an unknown type"));
  }
  return absl::OkStatus();
}

absl::Status ValidateFields(const std::vector<Field>& fields) {
  if (fields.size() > Field::kFieldsMax) {
    return absl::InvalidArgumentError(absl::StrCat("the schema has ", fields.size(),
                                                   " fields; the limit is ", Field::kFieldsMax));
  }
  std::set<absl::string_view> names;
  for (const Field& field : fields) {
    MRL_RETURN_IF_ERROR(field.Validate());
    if (!names.insert(field.name).second) {
      return absl::InvalidArgumentError(absl::StrCat("field '", field.name, "' is named twice"));
    }
  }
  return absl::OkStatus();
}

absl::string_view ToString(FieldType type) {
  for (const TypeName& name : kTypes) {
    if (name.type == type) return name.text;
  }
  return "?";
}

absl::StatusOr<FieldType> ParseFieldType(absl::string_view text) {
  for (const TypeName& name : kTypes) {
    if (name.text == text) return name.type;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "field type is '", text, "'; one of keyword, int, float, bool, datetime is needed"));
}

absl::StatusOr<Field> ParseField(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  if (parts.second.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("field '", text, "' is not NAME:TYPE, such as year:int"));
  }
  Field field;
  field.name = std::string(parts.first);
  MRL_ASSIGN_OR_RETURN(field.type, ParseFieldType(parts.second));
  MRL_RETURN_IF_ERROR(field.Validate());
  return field;
}

std::string FormatFields(const std::vector<Field>& fields) {
  if (fields.empty()) return "none";
  return absl::StrJoin(fields, ",", [](std::string* out, const Field& field) {
    absl::StrAppend(out, field.name, ":", ToString(field.type));
  });
}

}  // namespace mrl
