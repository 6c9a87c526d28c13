// How much room is left on a disk, and when it is too little to go on writing.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"

namespace mrl::collection {

struct DiskReserve {
  uint64_t bytes = 0;  // points are not written while less is left; 0 = no limit
  // Left on the disk that holds a path, for who may write; empty = what the system says.
  std::function<uint64_t(const std::string& path)> free_bytes = {};
  // Called before writing is tried again after the disk was full; may make room.
  std::function<void()> on_full = {};

  // What is left of the disk that holds `path`.
  uint64_t FreeBytes(const std::string& path) const;
  // RESOURCE_EXHAUSTED, with what is left and the reserve, when `wanted` bytes would reach into it.
  absl::Status Check(const std::string& path, uint64_t wanted) const;
};

}  // namespace mrl::collection
