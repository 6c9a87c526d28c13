// One value of a payload field, as filters compare it.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace mrl::filter {

// A keyword is its text, with the key 0. Every other type is a key that sorts as its values do: the
// number itself, 0 and 1, microseconds since 1970, or OrderedKey of a float.
struct Value {
  int64_t key = 0;
  std::string text = {};

  bool operator==(const Value&) const = default;
  bool operator<(const Value& other) const {
    return key != other.key ? key < other.key : text < other.text;
  }
};

// Sorts as doubles do; -0 and 0 are one. `value` is no NaN.
int64_t OrderedKey(double value);
double FloatOfKey(int64_t key);

// RFC 3339 (`2024-05-01T12:00:00Z`, with fractions and offsets) or a date, which is its midnight in
// UTC; microseconds since 1970. INVALID_ARGUMENT for other texts and for years outside 1 to 9999.
absl::StatusOr<int64_t> ParseDatetime(absl::string_view text);
absl::StatusOr<int64_t> DatetimeKey(absl::Time time);

}  // namespace mrl::filter
