#include "server/trace/trace_parent.h"

#include <cstdint>
#include <random>

#include "absl/strings/str_cat.h"

namespace mrl::server {
namespace {

std::mt19937_64& Random() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  return random;
}

bool IsLowerHex(absl::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == absl::string_view::npos;
}

bool IsZero(absl::string_view text) {
  return text.find_first_not_of('0') == absl::string_view::npos;
}

}  // namespace

std::optional<TraceParent> ParseTraceParent(absl::string_view header) {
  // VV-TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT-SSSSSSSSSSSSSSSS-FF, and more from later versions.
  constexpr size_t kBytes = 55;
  if (header.size() < kBytes || header[2] != '-' || header[35] != '-' || header[52] != '-') {
    return std::nullopt;
  }
  const absl::string_view version = header.substr(0, 2), flags = header.substr(53, 2);
  TraceParent parent;
  parent.trace_id = std::string(header.substr(3, 32));
  parent.span_id = std::string(header.substr(36, 16));
  if (!IsLowerHex(version) || version == "ff" || !IsLowerHex(flags)) return std::nullopt;
  if (!IsLowerHex(parent.trace_id) || IsZero(parent.trace_id)) return std::nullopt;
  if (!IsLowerHex(parent.span_id) || IsZero(parent.span_id)) return std::nullopt;
  const bool longer = header.size() > kBytes;
  if (longer && (version == "00" || header[kBytes] != '-')) return std::nullopt;
  const char low = flags[1];
  parent.sampled = ((low <= '9' ? low - '0' : low - 'a' + 10) & 1) != 0;
  return parent;
}

std::string RandomHex(int digits) {
  std::string text;
  while (static_cast<int>(text.size()) < digits) {
    absl::StrAppend(&text, absl::Hex(Random()() | 1, absl::kZeroPad16));
  }
  return text.substr(text.size() - digits);
}

bool Chance(double ratio) { return std::uniform_real_distribution<double>(0, 1)(Random()) < ratio; }

}  // namespace mrl::server
