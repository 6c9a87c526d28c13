// The scale of vectors that are stored in 8 bits, the same in every set. `static` for the reason
// given in scan_block.h.
#pragma once

#include <cfloat>
#include <cstdint>
#include <cstring>

namespace mrl::kernels {

// Codes are -127 to 127, and the largest magnitude gets 127.
static constexpr float kInt8CodeMax = 127.0f;

// The least scale that fits, of 17 significant bits: its product with a code of 7 is exact, so that
// values of codes give the same scale and codes again. 0, which makes every value zero, where the
// scale would be subnormal and has fewer bits.
static inline float Int8Scale(float largest) {
  if (!(largest >= kInt8CodeMax * FLT_MIN)) return 0.0f;
  constexpr uint32_t kDropped = 0x7F;
  const float least = largest / kInt8CodeMax;
  uint32_t bits;
  std::memcpy(&bits, &least, sizeof(bits));
  bits = (bits + kDropped) & ~kDropped;
  float scale;
  std::memcpy(&scale, &bits, sizeof(scale));
  return scale;
}

// What values are multiplied with before they are rounded to codes.
static inline float Int8Inverse(float scale) { return scale > 0.0f ? 1.0f / scale : 0.0f; }

}  // namespace mrl::kernels
