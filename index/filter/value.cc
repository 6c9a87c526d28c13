#include "index/filter/value.h"

#include <bit>
#include <limits>

#include "absl/strings/str_cat.h"

namespace mrl::filter {

int64_t OrderedKey(double value) {
  const auto bits = std::bit_cast<int64_t>(value == 0 ? 0.0 : value);
  // Negative doubles grow in magnitude with their bits.
  return bits >= 0 ? bits : std::numeric_limits<int64_t>::min() - bits - 1;
}

double FloatOfKey(int64_t key) {
  return std::bit_cast<double>(key >= 0 ? key : std::numeric_limits<int64_t>::min() - key - 1);
}

absl::StatusOr<int64_t> DatetimeKey(absl::Time time) {
  const int64_t year = absl::ToCivilYear(time, absl::UTCTimeZone()).year();
  if (year < 1 || year > 9999) {
    return absl::InvalidArgumentError("a datetime's year is outside 1 to 9999");
  }
  return absl::ToUnixMicros(time);
}

absl::StatusOr<int64_t> ParseDatetime(absl::string_view text) {
  absl::Time time;
  std::string error;
  for (const absl::string_view format :
       {absl::string_view(absl::RFC3339_full), absl::string_view("%Y-%m-%d")}) {
    if (text.empty() || text[0] < '0' || text[0] > '9') break;  // "infinite-past", spaces
    if (absl::ParseTime(format, text, &time, &error)) return DatetimeKey(time);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'", text.substr(0, 64),
                   "' is no datetime; RFC 3339 is needed, such as 2024-05-01T12:00:00Z"));
}

}  // namespace mrl::filter
