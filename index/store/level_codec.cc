#include "index/store/level_codec.h"

#include <cstdint>
#include <cstring>

#include "index/kernels/kernels.h"

namespace mrl::store {

float EncodeLevel(StorageType type, const float* values, size_t width, void* out) {
  const kernels::Table& table = kernels::Active();
  switch (type) {
    case StorageType::kF32:
      std::memcpy(out, values, width * sizeof(float));
      break;
    case StorageType::kF16:
      table.f32_to_f16(values, width, static_cast<uint16_t*>(out));
      break;
    case StorageType::kBf16:
      table.f32_to_bf16(values, width, static_cast<kernels::Bf16*>(out));
      break;
    case StorageType::kInt8:
      return table.f32_to_int8(values, width, static_cast<int8_t*>(out));
  }
  return 1;
}

void DecodeLevel(StorageType type, const void* data, float scale, size_t width, float* out) {
  const kernels::Table& table = kernels::Active();
  switch (type) {
    case StorageType::kF32:
      std::memcpy(out, data, width * sizeof(float));
      break;
    case StorageType::kF16:
      table.f16_to_f32(static_cast<const uint16_t*>(data), width, out);
      break;
    case StorageType::kBf16:
      table.bf16_to_f32(static_cast<const kernels::Bf16*>(data), width, out);
      break;
    case StorageType::kInt8:
      table.int8_to_f32(static_cast<const int8_t*>(data), scale, width, out);
      break;
  }
}

}  // namespace mrl::store
