// What the tests of both 16-bit formats share: values built from a format's definition.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

namespace mrl::kernels {

inline constexpr float kInfinity = std::numeric_limits<float>::infinity();

inline uint32_t BitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

// A sign, `kExponentBits` of exponent, and the rest of mantissa.
template <int kExponentBits>
struct ShortFloat {
  static constexpr int kMantissaBits = 15 - kExponentBits;
  static constexpr int kExponentMax = (1 << kExponentBits) - 1;
  static constexpr uint16_t kInfinityBits = kExponentMax << kMantissaBits;

  static bool IsNan(uint16_t bits) { return (bits & 0x7FFF) > kInfinityBits; }
  // Not of a NaN.
  static float ValueOf(uint16_t bits) {
    constexpr int kLeast = 1 - kExponentMax / 2 - kMantissaBits;  // power of the last place
    const int exponent = bits >> kMantissaBits & kExponentMax;
    const int mantissa = bits & ((1 << kMantissaBits) - 1);
    const float magnitude = exponent == kExponentMax ? kInfinity
                            : exponent == 0
                                ? std::ldexp(static_cast<float>(mantissa), kLeast)
                                : std::ldexp(static_cast<float>((1 << kMantissaBits) + mantissa),
                                             exponent - 1 + kLeast);
    return (bits & 0x8000) != 0 ? -magnitude : magnitude;
  }

  // `to_bits` gives the bits of a float's nearest value.
  template <typename ToBits>
  static void ExpectTiesToEvenAndTheRestToTheNearest(const ToBits& to_bits) {
    for (uint16_t bits = 0; bits + 1 < kInfinityBits; ++bits) {  // both neighbours are finite
      const float low = ValueOf(bits);
      const float high = ValueOf(static_cast<uint16_t>(bits + 1));
      const float middle = low + (high - low) / 2;  // exact in float
      const uint16_t even = (bits & 1) == 0 ? bits : static_cast<uint16_t>(bits + 1);
      ASSERT_EQ(to_bits(middle), even) << bits;
      ASSERT_EQ(to_bits(-middle), even | 0x8000) << bits;
      ASSERT_EQ(to_bits(std::nextafter(middle, 0.0f)), bits) << bits;
      ASSERT_EQ(to_bits(std::nextafter(middle, kInfinity)), bits + 1) << bits;
    }
  }
};

// Floats of any bits.
inline std::vector<float> AnyFloats() {
  std::mt19937 random(2);
  std::vector<float> floats(100'003);
  for (float& value : floats) {
    const uint32_t bits = static_cast<uint32_t>(random());
    std::memcpy(&value, &bits, sizeof(value));
  }
  return floats;
}

}  // namespace mrl::kernels
