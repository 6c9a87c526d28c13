// The W3C header that ties a call to its caller's trace.
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace mrl::server {

struct TraceParent {
  std::string trace_id;  // 32 lower-case hexadecimal digits, not all zero
  std::string span_id;   // 16 of the same
  bool sampled = false;  // the caller wants it recorded
};

// Nothing for what is no traceparent of version 00 to fe (W3C Trace Context, section 3.2): an
// unusable header is ignored, as the standard asks.
std::optional<TraceParent> ParseTraceParent(absl::string_view header);

// `digits` random hexadecimal digits, not all zero. Thread-safe.
std::string RandomHex(int digits);
// True for a share `ratio` of calls. Thread-safe.
bool Chance(double ratio);

}  // namespace mrl::server
