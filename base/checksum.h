// XXH3-64, the checksum of every page and table on disk.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mrl {

uint64_t Checksum(const void* data, size_t bytes);

}  // namespace mrl
