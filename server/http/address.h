// ADDRESS:PORT as text.
#pragma once

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace mrl::server {

// An IPv6 address gets its brackets.
inline std::string JoinAddress(absl::string_view host, int64_t port) {
  const bool bare_v6 = host.find(':') != absl::string_view::npos && host.front() != '[';
  return bare_v6 ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

// 127.0.0.0/8, ::1 and localhost: no other machine reaches these.
inline bool IsLoopback(absl::string_view host) {
  return host == "localhost" || host == "::1" || host == "[::1]" ||
         (host.substr(0, 4) == "127." &&
          host.find_first_not_of("0123456789.") == absl::string_view::npos);
}

}  // namespace mrl::server
