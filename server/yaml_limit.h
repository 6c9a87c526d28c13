// A limit as it stands in a YAML file of keys or quotas.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace mrl::server {

// A number above 0 and up to `max`; whole where Number is. INVALID_ARGUMENT names the field, the
// text and the range.
template <typename Number>
absl::Status ReadLimit(const std::string& name, const std::string& text, double max, Number* out) {
  double value = 0;
  if (!absl::SimpleAtod(text, &value) || !(value > 0) || value > max) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " is '", text, "'; a number above 0 and up to ", max, " is needed"));
  }
  *out = static_cast<Number>(value);
  if (*out > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name, " is '", text, "'; 1 is the least"));
}

}  // namespace mrl::server
