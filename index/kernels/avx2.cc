// AVX2 with FMA and F16C.
//
// The int8 scan widens to 16 bits and uses VPMADDWD: VPMADDUBSW would saturate at 255 * 127 * 2.
// Even and odd bytes are widened apart, so that each 32-bit lane stays one row and no horizontal
// sum is needed.
#include <immintrin.h>

#include <cstring>

#include "index/kernels/int8_scale.h"
#include "index/kernels/nibble_tables.h"
#include "index/kernels/scan_block.h"
#include "index/kernels/sums.h"
#include "index/kernels/tables.h"

namespace mrl::kernels {
namespace {

constexpr size_t kLanes = 8;
constexpr size_t kSums = 4;                      // hides the latency of FMA
constexpr size_t kGroups = kBlockRows / kLanes;  // vectors of rows in a block

__m256 Load(const float* x) { return _mm256_loadu_ps(x); }

__m256 Load(const uint16_t* x) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
}

__m256 Load(const Bf16* x) {
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}

__m256 Load(const int8_t* x) {
  const __m128i codes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(x));
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes));
}

// The first `n` < kLanes elements, then zeros.
template <typename Element>
__m256 LoadTail(const Element* x, size_t n) {
  Element padded[kLanes] = {};
  std::memcpy(padded, x, n * sizeof(Element));
  return Load(padded);
}

struct Dot {
  __m256 Add(__m256 q, __m256 x, __m256 sum) const { return _mm256_fmadd_ps(q, x, sum); }
};

struct L2 {
  __m256 Add(__m256 q, __m256 x, __m256 sum) const {
    const __m256 difference = _mm256_sub_ps(q, x);
    return _mm256_fmadd_ps(difference, difference, sum);
  }
};

struct ScaledL2 {
  explicit ScaledL2(float of_x) : scale(_mm256_set1_ps(of_x)) {}
  __m256 scale;
  __m256 Add(__m256 q, __m256 x, __m256 sum) const {
    const __m256 difference = _mm256_fnmadd_ps(scale, x, q);
    return _mm256_fmadd_ps(difference, difference, sum);
  }
};

float ReduceAdd(__m256 sum) {
  __m128 low = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
  low = _mm_add_ps(low, _mm_movehl_ps(low, low));
  low = _mm_add_ss(low, _mm_movehdup_ps(low));
  return _mm_cvtss_f32(low);
}

struct Row {
  template <typename Term, typename Element>
  static float Sum(const float* q, const Element* x, size_t n, Term term) {
    __m256 sums[kSums];
    for (size_t j = 0; j < kSums; ++j) sums[j] = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + kSums * kLanes <= n; i += kSums * kLanes) {
      for (size_t j = 0; j < kSums; ++j) {
        sums[j] = term.Add(Load(q + i + j * kLanes), Load(x + i + j * kLanes), sums[j]);
      }
    }
    for (; i + kLanes <= n; i += kLanes) sums[0] = term.Add(Load(q + i), Load(x + i), sums[0]);
    if (i < n) sums[1] = term.Add(LoadTail(q + i, n - i), LoadTail(x + i, n - i), sums[1]);
    return ReduceAdd(
        _mm256_add_ps(_mm256_add_ps(sums[0], sums[2]), _mm256_add_ps(sums[1], sums[3])));
  }
};

using RowSums = Sums<Row, Dot, ScaledL2>;

__m128i ToHalves(__m256 x) { return _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT); }

template <typename Element>
void ToF32(const Element* x, size_t n, float* out) {
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) _mm256_storeu_ps(out + i, Load(x + i));
  if (i == n) return;
  float padded[kLanes];
  _mm256_storeu_ps(padded, LoadTail(x + i, n - i));
  std::memcpy(out + i, padded, (n - i) * sizeof(float));
}

// Ties to even: 0x7FFF is added, and 1 more where the upper half is odd. NaN is made quiet.
__m128i ToBf16(__m256 x) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i upper = _mm256_srli_epi32(bits, 16);
  const __m256i odd = _mm256_and_si256(upper, _mm256_set1_epi32(1));
  const __m256i half = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF));
  const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, half), 16);
  const __m256i quiet = _mm256_or_si256(upper, _mm256_set1_epi32(0x40));
  const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  const __m256i out = _mm256_blendv_epi8(rounded, quiet, is_nan);
  return _mm_packus_epi32(_mm256_castsi256_si128(out), _mm256_extracti128_si256(out, 1));
}

template <__m128i (*kNarrow)(__m256), typename Element>
void Narrow(const float* x, size_t n, Element* out) {
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), kNarrow(Load(x + i)));
  }
  if (i == n) return;
  Element padded[kLanes];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(padded), kNarrow(LoadTail(x + i, n - i)));
  std::memcpy(out + i, padded, (n - i) * sizeof(Element));
}

float LargestMagnitude(const float* x, size_t n) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  __m256 most = _mm256_setzero_ps();
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    most = _mm256_max_ps(most, _mm256_andnot_ps(sign, Load(x + i)));
  if (i < n) most = _mm256_max_ps(most, _mm256_andnot_ps(sign, LoadTail(x + i, n - i)));
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

// Eight codes in the lower half.
__m128i ToCodes(__m256 x) {
  const __m256i codes = _mm256_cvtps_epi32(x);
  const __m128i words =
      _mm_packs_epi32(_mm256_castsi256_si128(codes), _mm256_extracti128_si256(codes, 1));
  return _mm_packs_epi16(words, words);
}

float F32ToInt8(const float* x, size_t n, int8_t* out) {
  const float scale = Int8Scale(LargestMagnitude(x, n));
  const __m256 inverse = _mm256_set1_ps(Int8Inverse(scale));
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out + i),
                     ToCodes(_mm256_mul_ps(Load(x + i), inverse)));
  }
  if (i == n) return scale;
  const __m128i rest = ToCodes(_mm256_mul_ps(LoadTail(x + i, n - i), inverse));
  std::memcpy(out + i, &rest, n - i);
  return scale;
}

void Int8ToF32(const int8_t* x, float scale, size_t n, float* out) {
  const __m256 factor = _mm256_set1_ps(scale);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    _mm256_storeu_ps(out + i, _mm256_mul_ps(Load(x + i), factor));
  }
  for (; i < n; ++i) out[i] = scale * static_cast<float>(x[i]);
}

// Dot products of one block, codes still 128 too large, 8 rows to a vector.
inline void DotBlock(const uint8_t* codes, const int8_t* query, size_t words,
                     __m256i (&dots)[kGroups]) {
  const __m256i low_bytes = _mm256_set1_epi16(0x00FF);
  for (size_t g = 0; g < kGroups; ++g) dots[g] = _mm256_setzero_si256();
  for (size_t word = 0; word < words; ++word, codes += kBlockRows * kWordDims) {
    int32_t query_word;
    std::memcpy(&query_word, query + word * kWordDims, sizeof(query_word));
    const __m256i q = _mm256_set1_epi32(query_word);
    const __m256i q_even = _mm256_srai_epi16(_mm256_slli_epi16(q, 8), 8);
    const __m256i q_odd = _mm256_srai_epi16(q, 8);
    for (size_t g = 0; g < kGroups; ++g) {
      const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes) + g);
      const __m256i even = _mm256_madd_epi16(_mm256_and_si256(x, low_bytes), q_even);
      const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(x, 8), q_odd);
      dots[g] = _mm256_add_epi32(dots[g], _mm256_add_epi32(even, odd));
    }
  }
}

// The biases of a block's rows; the last block's array may end before its 64th row.
inline const float* BlockBias(const Int8Scan& scan, size_t block, float (&padded)[kBlockRows]) {
  const size_t first = block * kBlockRows;
  const size_t left = scan.rows - first;
  if (scan.row_bias != nullptr && left >= kBlockRows) return scan.row_bias + first;
  std::memset(padded, 0, sizeof(padded));
  if (scan.row_bias != nullptr) {
    std::memcpy(padded, scan.row_bias + first, left * sizeof(float));
  }
  return padded;
}

// Fills `upper`; bit r of the result: row r reaches the threshold.
inline uint64_t UpperBounds(const __m256i (&dots)[kGroups], __m256i offset, const BlockTerms& terms,
                            const float* bias, float threshold, float (&upper)[kBlockRows]) {
  const __m256 scale = _mm256_set1_ps(terms.scale);
  const __m256 error = _mm256_set1_ps(terms.error);
  const __m256 least = _mm256_set1_ps(threshold);
  uint64_t reached = 0;
  for (size_t g = 0; g < kGroups; ++g) {
    const __m256 dot = _mm256_cvtepi32_ps(_mm256_sub_epi32(dots[g], offset));
    const __m256 estimate =
        _mm256_add_ps(_mm256_loadu_ps(bias + g * kLanes), _mm256_mul_ps(scale, dot));
    const __m256 bound = _mm256_add_ps(estimate, error);
    _mm256_storeu_ps(upper + g * kLanes, bound);
    const int bits = _mm256_movemask_ps(_mm256_cmp_ps(bound, least, _CMP_GE_OQ));
    reached |= static_cast<uint64_t>(static_cast<uint32_t>(bits)) << (g * kLanes);
  }
  return reached;
}

void ScanBlock(const Int8Scan& scan, size_t block, uint64_t mask, Int8TileQuery* query) {
  float padded_bias[kBlockRows];
  float upper[kBlockRows];
  __m256i dots[kGroups];
  DotBlock(scan.codes + block * scan.words * kBlockRows * kWordDims, query->query.codes, scan.words,
           dots);
  const BlockTerms terms = TermsOf(scan.blocks[block], query->query);
  const float* bias = BlockBias(scan, block, padded_bias);
  const __m256i offset = _mm256_set1_epi32(CodeOffset(query->query));
  uint64_t survivors = mask & UpperBounds(dots, offset, terms, bias, query->threshold, upper);
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

// Two vectors of 32 rows; the sums of even and of odd rows apart, 16 bits each.
struct BitSums {
  __m256i even[2];
  __m256i odd[2];
};

inline BitSums SumBits(const BitScan& scan, const uint8_t* tables, size_t block) {
  const __m256i low_nibble = _mm256_set1_epi8(0x0F);
  const __m256i low_byte = _mm256_set1_epi16(0x00FF);
  const __m256i zero = _mm256_setzero_si256();
  BitSums sums = {{zero, zero}, {zero, zero}};
  for (size_t strip = 0; strip < scan.strip_count; ++strip) {
    const uint8_t* bytes = scan.strips[strip] + block * kStripBlockBytes;
    __m256i sum[2] = {zero, zero};
    for (size_t c = 0; c < kNibblesPerStrip / 2; ++c, tables += 2 * kNibbleValues) {
      const auto* table = reinterpret_cast<const __m128i*>(tables);
      const __m256i low = _mm256_broadcastsi128_si256(_mm_load_si128(table));
      const __m256i high = _mm256_broadcastsi128_si256(_mm_load_si128(table + 1));
      for (size_t h = 0; h < 2; ++h, bytes += sizeof(__m256i)) {
        const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
        const __m256i first = _mm256_and_si256(x, low_nibble);
        const __m256i second = _mm256_and_si256(_mm256_srli_epi16(x, 4), low_nibble);
        sum[h] = _mm256_add_epi8(sum[h], _mm256_shuffle_epi8(low, first));
        sum[h] = _mm256_add_epi8(sum[h], _mm256_shuffle_epi8(high, second));
      }
    }
    for (size_t h = 0; h < 2; ++h) {
      sums.even[h] = _mm256_add_epi16(sums.even[h], _mm256_and_si256(sum[h], low_byte));
      sums.odd[h] = _mm256_add_epi16(sums.odd[h], _mm256_srli_epi16(sum[h], 8));
    }
  }
  return sums;
}

// Whether any row reaches the threshold: unsigned comparison by maximum.
inline bool AnyReaches(const BitSums& sums, __m256i threshold) {
  __m256i most = _mm256_max_epu16(sums.even[0], sums.odd[0]);
  most = _mm256_max_epu16(most, _mm256_max_epu16(sums.even[1], sums.odd[1]));
  const __m256i reached = _mm256_cmpeq_epi16(_mm256_max_epu16(most, threshold), most);
  return _mm256_testz_si256(reached, reached) == 0;
}

inline void AppendBitRows(const BitSums& sums, size_t block, uint64_t mask, BitQuery* query) {
  uint16_t even[2][16];
  uint16_t odd[2][16];
  std::memcpy(even, sums.even, sizeof(even));
  std::memcpy(odd, sums.odd, sizeof(odd));
  for (; mask != 0; mask &= mask - 1) {
    const auto row = static_cast<size_t>(__builtin_ctzll(mask));
    const size_t half = row / 32;
    const size_t lane = row % 32 / 2;
    const uint16_t score = row % 2 == 0 ? even[half][lane] : odd[half][lane];
    if (score >= query->threshold) Append(query->out, score, block * kBlockRows + row);
  }
}

size_t ScanBits(const BitScan& scan, BitQuery* queries, size_t query_count) {
  for (size_t block = scan.block_begin; block < scan.block_end; ++block) {
    if (!HasRoom(queries, query_count)) return block;
    const uint64_t mask = RowMask(scan, block);
    for (size_t q = 0; mask != 0 && q < query_count; ++q) {
      const BitSums sums = SumBits(scan, queries[q].tables, block);
      const __m256i threshold = _mm256_set1_epi16(static_cast<int16_t>(queries[q].threshold));
      if (AnyReaches(sums, threshold)) AppendBitRows(sums, block, mask, &queries[q]);
    }
  }
  return scan.block_end;
}

}  // namespace

constinit const Table kAvx2Table = {
    .set = InstructionSet::kAvx2,
    .name = "avx2",
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
    .score_bit_rows = ScoreRowsByPopcount,
};

}  // namespace mrl::kernels
