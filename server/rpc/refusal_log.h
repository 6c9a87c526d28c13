// Calls that are refused for want of room, told in one line a second instead of one a call.
#pragma once

#include <atomic>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace mrl::server {

// Thread-safe.
class RefusalLog {
 public:
  // Counts one, and writes a line with the count and this one's reason where the last line is a
  // second old.
  void Note(absl::string_view reason);

 private:
  std::atomic<uint64_t> refused_{0};  // since the last line
  std::atomic<int64_t> next_ns_{0};   // when the next line may be written
};

}  // namespace mrl::server
