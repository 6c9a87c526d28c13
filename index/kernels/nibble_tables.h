// Lookup tables of bit codes for the sets that look four bits up at a time (VPSHUFB, TBL), and
// the scoring of single rows with the popcount of a 64-bit register. Included by avx2.cc, avx512.cc
// and neon.cc only; `static` for the reason given in scan_block.h.
#pragma once

#include "index/kernels/kernels.h"

namespace mrl::kernels {

static constexpr size_t kNibbleValues = 16;
static constexpr size_t kNibblesPerStrip = kStripBits / 4;

// Sums of one nibble's agreeing weights for each of its 16 values.
static inline void NibbleTable(const int8_t* weights, uint8_t* table) {
  for (unsigned value = 0; value < kNibbleValues; ++value) {
    int sum = 0;
    for (size_t j = 0; j < 4; ++j) {
      const int weight{weights[j]};
      if ((value >> j & 1) != 0 ? weight > 0 : weight < 0) sum += weight < 0 ? -weight : weight;
    }
    table[value] = static_cast<uint8_t>(sum);
  }
}

static inline void MakeNibbleTables(const int8_t* weights, size_t strip_count, uint8_t* tables) {
  for (size_t nibble = 0; nibble < strip_count * kNibblesPerStrip; ++nibble) {
    NibbleTable(weights + 4 * nibble, tables + kNibbleValues * nibble);
  }
}

static constexpr size_t kRowPrefetch = 16;

static inline uint64_t StripScore(const BitRows& bits, const uint64_t* row, size_t strip) {
  const uint64_t agree = ~(row[strip] ^ bits.planes[strip]);
  uint64_t sum = 0;
  for (size_t p = 1; p < kBitPlanes; ++p) {
    const uint64_t plane = bits.planes[p * bits.strip_count + strip];
    sum += static_cast<uint64_t>(__builtin_popcountll(agree & plane)) << (p - 1);
  }
  return sum;
}

static inline void ScoreRowsByPopcount(const BitRows& bits, const uint32_t* rows, size_t count,
                                       uint16_t* scores) {
  for (size_t i = 0; i < count; ++i) {
    if (i + kRowPrefetch < count) {
      __builtin_prefetch(bits.words + rows[i + kRowPrefetch] * bits.row_words);
    }
    const uint64_t* row = bits.words + rows[i] * bits.row_words;
    uint64_t sum = 0;
    for (size_t strip = 0; strip < bits.strip_count; ++strip) sum += StripScore(bits, row, strip);
    scores[i] = static_cast<uint16_t>(sum);
  }
}

}  // namespace mrl::kernels
