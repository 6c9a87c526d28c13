// A payload field that is indexed, so that searches can filter on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mrl {

// Stored on disk as these numbers: frozen.
enum class FieldType : uint8_t {
  kKeyword = 1,   // a string that is compared as a whole
  kInt = 2,       // a whole number of 64 bits, signed
  kFloat = 3,     // a double
  kBool = 4,      // true or false
  kDatetime = 5,  // a moment, in microseconds since 1970 (UTC)
};

// A field of a payload, or of an object inside of it: `year`, `author.name`. Where the payload has
// an array of values the field has each of them.
struct Field {
  static constexpr size_t kNameBytesMax = 64;
  static constexpr size_t kFieldsMax = 32;          // of one schema
  static constexpr size_t kKeywordBytesMax = 1024;  // of one value
  static constexpr size_t kValuesMax = 1024;        // of one point in one field

  std::string name;
  FieldType type = FieldType::kKeyword;

  // INVALID_ARGUMENT for a name that is not letters, digits and _ with dots between, or for an
  // unknown type.
  absl::Status Validate() const;
  bool operator==(const Field&) const = default;
};

// INVALID_ARGUMENT when there are more than kFieldsMax, one is not valid, or two have one name.
absl::Status ValidateFields(const std::vector<Field>& fields);

absl::string_view ToString(FieldType type);  // keyword, int, float, bool, datetime
absl::StatusOr<FieldType> ParseFieldType(absl::string_view text);
// "year:int", and a list of them with commas; "none" for an empty list.
absl::StatusOr<Field> ParseField(absl::string_view text);
std::string FormatFields(const std::vector<Field>& fields);

}  // namespace mrl
