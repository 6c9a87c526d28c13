// How the rows of a collection are held.
#pragma once

#include <cstdint>

namespace mrl::coarse::gpu {
class DeviceSet;
}

namespace mrl::collection {

struct OpenOptions {
  // Devices for the GPU kinds, which are there beside those that were built; null = none. They
  // outlive the collection.
  coarse::gpu::DeviceSet* gpu = nullptr;
  // Levels that end above so many dimensions stay in their files (store::Segment::Open); 0 = none.
  uint32_t hot_dims = 0;
};

}  // namespace mrl::collection
