// What was built.
#pragma once

namespace mrl::server {

extern const char* const kVersion;  // "0.1.0"
extern const char* const kCommit;   // hexadecimal, or "unknown"

}  // namespace mrl::server
