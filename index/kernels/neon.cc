// NEON of Armv8.2 with the dot product instructions: Graviton 2, Ampere, Apple M1 and later.
//
// Codes lose their 128 by one XOR, and SDOT then adds a row's four products into its own 32-bit
// lane, so that no horizontal sum is needed.
#include <arm_neon.h>

#include <cstring>

#include "index/kernels/int8_scale.h"
#include "index/kernels/nibble_tables.h"
#include "index/kernels/scan_block.h"
#include "index/kernels/sums.h"
#include "index/kernels/tables.h"

namespace mrl::kernels {
namespace {

constexpr size_t kLanes = 4;
constexpr size_t kSums = 4;                      // hides the latency of FMLA
constexpr size_t kGroups = kBlockRows / kLanes;  // vectors of rows in a block

float32x4_t Load(const float* x) { return vld1q_f32(x); }
float32x4_t Load(const uint16_t* x) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(x))); }

float32x4_t Load(const Bf16* x) {
  const uint16x4_t bits = vld1_u16(reinterpret_cast<const uint16_t*>(x));
  return vreinterpretq_f32_u32(vshll_n_u16(bits, 16));
}
float32x4_t Load(const int8_t* x) {
  uint32_t four;
  std::memcpy(&four, x, sizeof(four));
  const int16x8_t words = vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(four)));
  return vcvtq_f32_s32(vmovl_s16(vget_low_s16(words)));
}

// The first `n` < kLanes elements, then zeros.
template <typename Element>
float32x4_t LoadTail(const Element* x, size_t n) {
  Element padded[kLanes] = {};
  std::memcpy(padded, x, n * sizeof(Element));
  return Load(padded);
}

struct Dot {
  float32x4_t Add(float32x4_t q, float32x4_t x, float32x4_t sum) const {
    return vfmaq_f32(sum, q, x);
  }
};

struct L2 {
  float32x4_t Add(float32x4_t q, float32x4_t x, float32x4_t sum) const {
    const float32x4_t difference = vsubq_f32(q, x);
    return vfmaq_f32(sum, difference, difference);
  }
};

struct ScaledL2 {
  explicit ScaledL2(float of_x) : scale(vdupq_n_f32(of_x)) {}
  float32x4_t scale;
  float32x4_t Add(float32x4_t q, float32x4_t x, float32x4_t sum) const {
    const float32x4_t difference = vfmsq_f32(q, scale, x);
    return vfmaq_f32(sum, difference, difference);
  }
};

struct Row {
  template <typename Term, typename Element>
  static float Sum(const float* q, const Element* x, size_t n, Term term) {
    float32x4_t sums[kSums];
    for (size_t j = 0; j < kSums; ++j) sums[j] = vdupq_n_f32(0);
    size_t i = 0;
    for (; i + kSums * kLanes <= n; i += kSums * kLanes) {
      for (size_t j = 0; j < kSums; ++j) {
        sums[j] = term.Add(Load(q + i + j * kLanes), Load(x + i + j * kLanes), sums[j]);
      }
    }
    for (; i + kLanes <= n; i += kLanes) sums[0] = term.Add(Load(q + i), Load(x + i), sums[0]);
    if (i < n) sums[1] = term.Add(LoadTail(q + i, n - i), LoadTail(x + i, n - i), sums[1]);
    return vaddvq_f32(vaddq_f32(vaddq_f32(sums[0], sums[2]), vaddq_f32(sums[1], sums[3])));
  }
};

using RowSums = Sums<Row, Dot, ScaledL2>;

uint16x4_t ToHalves(float32x4_t x) { return vreinterpret_u16_f16(vcvt_f16_f32(x)); }

template <typename Element>
void ToF32(const Element* x, size_t n, float* out) {
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) vst1q_f32(out + i, Load(x + i));
  if (i == n) return;
  float padded[kLanes];
  vst1q_f32(padded, LoadTail(x + i, n - i));
  std::memcpy(out + i, padded, (n - i) * sizeof(float));
}

// Ties to even: 0x7FFF is added, and 1 more where the upper half is odd. NaN is made quiet.
uint16x4_t ToBf16(float32x4_t x) {
  const uint32x4_t bits = vreinterpretq_u32_f32(x);
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7FFF)));
  const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
  return vshrn_n_u32(vbslq_u32(vceqq_f32(x, x), rounded, quiet), 16);
}

template <uint16x4_t (*kNarrow)(float32x4_t), typename Element>
void Narrow(const float* x, size_t n, Element* out) {
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    vst1_u16(reinterpret_cast<uint16_t*>(out + i), kNarrow(Load(x + i)));
  }
  if (i == n) return;
  uint16_t padded[kLanes];
  vst1_u16(padded, kNarrow(LoadTail(x + i, n - i)));
  std::memcpy(out + i, padded, (n - i) * sizeof(Element));
}

float LargestMagnitude(const float* x, size_t n) {
  float32x4_t most = vdupq_n_f32(0);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) most = vmaxq_f32(most, vabsq_f32(Load(x + i)));
  if (i < n) most = vmaxq_f32(most, vabsq_f32(LoadTail(x + i, n - i)));
  return vmaxvq_f32(most);
}

float F32ToInt8(const float* x, size_t n, int8_t* out) {
  const float scale = Int8Scale(LargestMagnitude(x, n));
  const float32x4_t inverse = vdupq_n_f32(Int8Inverse(scale));
  for (size_t i = 0; i < n; i += kLanes) {
    const size_t left = n - i < kLanes ? n - i : kLanes;
    const int32x4_t codes = vcvtnq_s32_f32(vmulq_f32(LoadTail(x + i, left), inverse));
    const int16x4_t words = vmovn_s32(codes);
    const int8x8_t bytes = vmovn_s16(vcombine_s16(words, words));
    std::memcpy(out + i, &bytes, left);
  }
  return scale;
}

void Int8ToF32(const int8_t* x, float scale, size_t n, float* out) {
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) vst1q_f32(out + i, vmulq_n_f32(Load(x + i), scale));
  for (; i < n; ++i) out[i] = scale * static_cast<float>(x[i]);
}

// Dot products of one block, 4 rows to a vector.
inline void DotBlock(const uint8_t* codes, const int8_t* query, size_t words,
                     int32x4_t (&dots)[kGroups]) {
  const uint8x16_t top = vdupq_n_u8(0x80);
  for (size_t g = 0; g < kGroups; ++g) dots[g] = vdupq_n_s32(0);
  for (size_t word = 0; word < words; ++word, codes += kBlockRows * kWordDims) {
    int32_t query_word;
    std::memcpy(&query_word, query + word * kWordDims, sizeof(query_word));
    const int8x16_t q = vreinterpretq_s8_s32(vdupq_n_s32(query_word));
    for (size_t g = 0; g < kGroups; ++g) {
      const uint8x16_t x = vld1q_u8(codes + g * sizeof(uint8x16_t));
      dots[g] = vdotq_s32(dots[g], vreinterpretq_s8_u8(veorq_u8(x, top)), q);
    }
  }
}

inline int32_t Largest(const int32x4_t (&dots)[kGroups]) {
  int32x4_t largest = dots[0];
  for (size_t g = 1; g < kGroups; ++g) largest = vmaxq_s32(largest, dots[g]);
  return vmaxvq_s32(largest);
}

// Fills `upper`; bit r of the result: row r reaches the threshold. The last block's array of biases
// may end before its 64th row.
inline uint64_t UpperBounds(const Int8Scan& scan, size_t block, const int32x4_t (&dots)[kGroups],
                            const BlockTerms& terms, float threshold, float (&upper)[kBlockRows]) {
  float bias[kBlockRows] = {};
  if (scan.row_bias != nullptr) {
    const size_t first = block * kBlockRows;
    const size_t left = scan.rows - first;
    std::memcpy(bias, scan.row_bias + first,
                (left < kBlockRows ? left : kBlockRows) * sizeof(float));
  }
  const float32x4_t scale = vdupq_n_f32(terms.scale);
  const float32x4_t error = vdupq_n_f32(terms.error);
  const float32x4_t least = vdupq_n_f32(threshold);
  constexpr uint32_t kPlaces[kLanes] = {1, 2, 4, 8};
  const uint32x4_t places = vld1q_u32(kPlaces);
  uint64_t reached = 0;
  for (size_t g = 0; g < kGroups; ++g) {
    const float32x4_t dot = vcvtq_f32_s32(dots[g]);
    const float32x4_t estimate = vaddq_f32(vld1q_f32(bias + g * kLanes), vmulq_f32(scale, dot));
    const float32x4_t bound = vaddq_f32(estimate, error);
    vst1q_f32(upper + g * kLanes, bound);
    const uint32_t bits = vaddvq_u32(vandq_u32(vcgeq_f32(bound, least), places));
    reached |= uint64_t{bits} << (g * kLanes);
  }
  return reached;
}

void ScanBlock(const Int8Scan& scan, size_t block, uint64_t mask, Int8TileQuery* query) {
  float upper[kBlockRows];
  int32x4_t dots[kGroups];
  DotBlock(scan.codes + block * scan.words * kBlockRows * kWordDims, query->query.codes, scan.words,
           dots);
  const BlockTerms terms = TermsOf(scan.blocks[block], query->query);
  if (scan.row_bias == nullptr && Largest(dots) < LeastDot(terms, query->threshold)) return;
  uint64_t survivors = mask & UpperBounds(scan, block, dots, terms, query->threshold, upper);
  Int8Survivors& out = query->out;
  for (; survivors != 0; survivors &= survivors - 1, ++out.count) {
    const auto row = static_cast<size_t>(__builtin_ctzll(survivors));
    out.upper[out.count] = upper[row];
    out.rows[out.count] = static_cast<uint32_t>(block * kBlockRows + row);
  }
}

size_t ScanInt8(const Int8Scan& scan, Int8TileQuery* queries, size_t query_count) {
  for (size_t block = scan.block_begin; block < scan.block_end; ++block) {
    if (!HasRoom(queries, query_count)) return block;
    const uint64_t mask = RowMask(scan, block);
    for (size_t q = 0; mask != 0 && q < query_count; ++q) ScanBlock(scan, block, mask, &queries[q]);
  }
  return scan.block_end;
}

constexpr size_t kBitLanes = 16;                       // rows to a vector of bytes
constexpr size_t kBitGroups = kBlockRows / kBitLanes;  // of them in a block
constexpr size_t kScoreGroups = 2 * kBitGroups;        // vectors of 16-bit sums

inline void SumBits(const BitScan& scan, const uint8_t* tables, size_t block,
                    uint16x8_t (&sums)[kScoreGroups]) {
  const uint8x16_t low_nibble = vdupq_n_u8(0x0F);
  for (size_t g = 0; g < kScoreGroups; ++g) sums[g] = vdupq_n_u16(0);
  for (size_t strip = 0; strip < scan.strip_count; ++strip) {
    const uint8_t* bytes = scan.strips[strip] + block * kStripBlockBytes;
    uint8x16_t sum[kBitGroups];
    for (size_t g = 0; g < kBitGroups; ++g) sum[g] = vdupq_n_u8(0);
    for (size_t c = 0; c < kNibblesPerStrip / 2; ++c, tables += 2 * kNibbleValues) {
      const uint8x16_t low = vld1q_u8(tables);
      const uint8x16_t high = vld1q_u8(tables + kNibbleValues);
      for (size_t g = 0; g < kBitGroups; ++g, bytes += kBitLanes) {
        const uint8x16_t x = vld1q_u8(bytes);
        sum[g] = vaddq_u8(sum[g], vqtbl1q_u8(low, vandq_u8(x, low_nibble)));
        sum[g] = vaddq_u8(sum[g], vqtbl1q_u8(high, vshrq_n_u8(x, 4)));
      }
    }
    for (size_t g = 0; g < kBitGroups; ++g) {
      sums[2 * g] = vaddw_u8(sums[2 * g], vget_low_u8(sum[g]));
      sums[2 * g + 1] = vaddw_high_u8(sums[2 * g + 1], sum[g]);
    }
  }
}

inline uint16_t Largest(const uint16x8_t (&sums)[kScoreGroups]) {
  uint16x8_t largest = sums[0];
  for (size_t g = 1; g < kScoreGroups; ++g) largest = vmaxq_u16(largest, sums[g]);
  return vmaxvq_u16(largest);
}

inline void AppendBitRows(const uint16x8_t (&sums)[kScoreGroups], size_t block, uint64_t mask,
                          BitQuery* query) {
  uint16_t scores[kBlockRows];
  std::memcpy(scores, sums, sizeof(scores));
  for (; mask != 0; mask &= mask - 1) {
    const auto row = static_cast<size_t>(__builtin_ctzll(mask));
    if (scores[row] >= query->threshold) {
      Append(query->out, scores[row], block * kBlockRows + row);
    }
  }
}

size_t ScanBits(const BitScan& scan, BitQuery* queries, size_t query_count) {
  uint16x8_t sums[kScoreGroups];
  for (size_t block = scan.block_begin; block < scan.block_end; ++block) {
    if (!HasRoom(queries, query_count)) return block;
    const uint64_t mask = RowMask(scan, block);
    for (size_t q = 0; mask != 0 && q < query_count; ++q) {
      SumBits(scan, queries[q].tables, block, sums);
      if (Largest(sums) >= queries[q].threshold) AppendBitRows(sums, block, mask, &queries[q]);
    }
  }
  return scan.block_end;
}

// The weighted sum of agreeing bits in each byte of two strips: at most 8 * kBitWeightMax.
inline uint8x16_t AgreeingBits(const BitRows& bits, const uint64_t* row, size_t strip) {
  const uint64x2_t same = vreinterpretq_u64_u8(vmvnq_u8(
      vreinterpretq_u8_u64(veorq_u64(vld1q_u64(row + strip), vld1q_u64(bits.planes + strip)))));
  uint8x16_t sum = vdupq_n_u8(0);
  for (size_t p = 1; p < kBitPlanes; ++p) {
    const uint64x2_t plane = vld1q_u64(bits.planes + p * bits.strip_count + strip);
    const uint8x16_t ones = vcntq_u8(vreinterpretq_u8_u64(vandq_u64(same, plane)));
    sum = vaddq_u8(sum, vshlq_u8(ones, vdupq_n_s8(static_cast<int8_t>(p - 1))));
  }
  return sum;
}

void ScoreBitRows(const BitRows& bits, const uint32_t* rows, size_t count, uint16_t* scores) {
  for (size_t i = 0; i < count; ++i) {
    if (i + kRowPrefetch < count) {
      __builtin_prefetch(bits.words + rows[i + kRowPrefetch] * bits.row_words);
    }
    const uint64_t* row = bits.words + rows[i] * bits.row_words;
    uint16x8_t sums = vdupq_n_u16(0);
    size_t strip = 0;
    for (; strip + 2 <= bits.strip_count; strip += 2) {
      sums = vpadalq_u8(sums, AgreeingBits(bits, row, strip));
    }
    uint64_t score = vaddlvq_u16(sums);
    if (strip < bits.strip_count) score += StripScore(bits, row, strip);
    scores[i] = static_cast<uint16_t>(score);
  }
}

}  // namespace

constinit const Table kNeonTable = {
    .set = InstructionSet::kNeon,
    .name = "neon",
    .dot_f32 = RowSums::Of<Dot, float>,
    .dot_f16 = RowSums::Of<Dot, uint16_t>,
    .dot_bf16 = RowSums::Of<Dot, Bf16>,
    .dot_int8 = RowSums::DotInt8,
    .l2_f32 = RowSums::Of<L2, float>,
    .l2_f16 = RowSums::Of<L2, uint16_t>,
    .l2_bf16 = RowSums::Of<L2, Bf16>,
    .l2_int8 = RowSums::L2Int8,
    .dots_f32 = RowSums::Dots,
    .f32_to_f16 = Narrow<ToHalves, uint16_t>,
    .f16_to_f32 = ToF32<uint16_t>,
    .f32_to_bf16 = Narrow<ToBf16, Bf16>,
    .bf16_to_f32 = ToF32<Bf16>,
    .f32_to_int8 = F32ToInt8,
    .int8_to_f32 = Int8ToF32,
    .scan_int8 = ScanInt8,
    .bit_table_bytes = kNibblesPerStrip * kNibbleValues,
    .make_bit_tables = MakeNibbleTables,
    .scan_bits = ScanBits,
    .score_bit_rows = ScoreBitRows,
};

}  // namespace mrl::kernels
