#include "index/filter/payload_values.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"

namespace mrl::filter {
namespace {

using nlohmann::json;

// What a value holds is written by recursion, so that an array or object is called what it is.
std::string Show(const json& value) {
  if (value.is_structured()) return absl::StrCat("an ", value.type_name());
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

absl::Status Refuse(const Field& field, const json& value, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("payload field '", field.name, "' is ", Show(value).substr(0, 64), "; ", why));
}

absl::StatusOr<Value> ReadKeyword(const Field& field, const json& value) {
  if (!value.is_string()) return Refuse(field, value, "a string is needed");
  const auto& text = value.get_ref<const std::string&>();
  if (text.size() > Field::kKeywordBytesMax) {
    return Refuse(field, value,
                  absl::StrCat("it has ", text.size(), " bytes; the limit of a keyword is ",
                               Field::kKeywordBytesMax));
  }
  return Value{.text = text};
}

absl::StatusOr<Value> ReadInt(const Field& field, const json& value) {
  const bool fits = value.is_number_integer() &&
                    (!value.is_number_unsigned() ||
                     value.get<uint64_t>() <= uint64_t{std::numeric_limits<int64_t>::max()});
  if (!fits) return Refuse(field, value, "a whole number of 64 bits is needed");
  return Value{.key = value.get<int64_t>()};
}

absl::StatusOr<Value> ReadDatetime(const Field& field, const json& value) {
  if (!value.is_string()) return Refuse(field, value, "a string in RFC 3339 is needed");
  const auto key = ParseDatetime(value.get_ref<const std::string&>());
  if (!key.ok()) return Refuse(field, value, key.status().message());
  return Value{.key = *key};
}

absl::StatusOr<Value> ReadOne(const Field& field, const json& value) {
  switch (field.type) {
    case FieldType::kKeyword:
      return ReadKeyword(field, value);
    case FieldType::kInt:
      return ReadInt(field, value);
    case FieldType::kFloat:
      if (!value.is_number()) return Refuse(field, value, "a number is needed");
      return Value{.key = OrderedKey(value.get<double>())};
    case FieldType::kBool:
      if (!value.is_boolean()) return Refuse(field, value, "true or false is needed");
      return Value{.key = value.get<bool>() ? 1 : 0};
    case FieldType::kDatetime:
      return ReadDatetime(field, value);
  }
  return absl::InternalError("a field of an unknown type");
}

// What a payload has under `name`; null when it has nothing there.
const json* FindField(const json& payload, absl::string_view name) {
  const json* at = &payload;
  for (const absl::string_view word : absl::StrSplit(name, '.')) {
    if (!at->is_object()) return nullptr;
    const auto found = at->find(std::string(word));
    if (found == at->end()) return nullptr;
    at = &*found;
  }
  return at->is_null() ? nullptr : at;
}

absl::StatusOr<std::vector<Value>> ReadField(const Field& field, const json& payload) {
  std::vector<Value> values;
  const json* found = FindField(payload, field.name);
  if (found == nullptr) return values;
  if (!found->is_array()) {
    MRL_ASSIGN_OR_RETURN(Value value, ReadOne(field, *found));
    values.push_back(std::move(value));
    return values;
  }
  if (found->size() > Field::kValuesMax) {
    return absl::InvalidArgumentError(absl::StrCat("payload field '", field.name, "' has ",
                                                   found->size(), " values; the limit is ",
                                                   Field::kValuesMax));
  }
  for (const json& element : *found) {
    MRL_ASSIGN_OR_RETURN(Value value, ReadOne(field, element));
    values.push_back(std::move(value));
  }
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

}  // namespace

absl::StatusOr<RowValues> ReadValues(const std::vector<Field>& fields, absl::string_view payload) {
  RowValues values(fields.size());
  if (fields.empty() || payload.empty()) return values;
  const json parsed = json::parse(payload.begin(), payload.end(), nullptr, false);
  if (!parsed.is_object()) return absl::InvalidArgumentError("the payload is not a JSON object");
  for (size_t i = 0; i < fields.size(); ++i) {
    MRL_ASSIGN_OR_RETURN(values[i], ReadField(fields[i], parsed));
  }
  return values;
}

uint64_t MemoryBytes(const RowValues& values) {
  constexpr uint64_t kEntryBytes = 32;  // row and key, with room to grow
  constexpr uint64_t kTextBytes = 96;   // a new word in the dictionary
  uint64_t bytes = 0;
  for (const std::vector<Value>& field : values) {
    for (const Value& value : field) {
      bytes += kEntryBytes;
      if (!value.text.empty()) bytes += kTextBytes + value.text.size();
    }
  }
  return bytes;
}

}  // namespace mrl::filter
