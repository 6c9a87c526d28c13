// One level of a row in storage: floats to the schema's storage type, and back.
//
// What is read back and stored again gives the same bits, so that log, tail, segment and merged
// segment hold the same.
#pragma once

#include <cstddef>

#include "index/schema/schema.h"

namespace mrl::store {

// Writes `width` finite floats to `out`, aligned as its elements. The scale of int8; 1 for the
// other types.
float EncodeLevel(StorageType type, const float* values, size_t width, void* out);
void DecodeLevel(StorageType type, const void* data, float scale, size_t width, float* out);

}  // namespace mrl::store
