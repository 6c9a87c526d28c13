// AVX-512 F, BW, DQ and VL, with FMA and F16C; no VNNI.
#include <immintrin.h>

#include "index/kernels/avx512_bits.h"
#include "index/kernels/avx512_scan.h"
#include "index/kernels/int8_scale.h"
#include "index/kernels/nibble_tables.h"
#include "index/kernels/tables.h"

namespace mrl::kernels {
namespace {

constexpr size_t kLanes = 16;
constexpr size_t kSums = 4;  // hides the latency of FMA

float ReduceAdd(__m512 sum) {
  const __m256 half = _mm256_add_ps(_mm512_maskz_extractf32x8_ps(0xFF, sum, 0),
                                    _mm512_maskz_extractf32x8_ps(0xFF, sum, 1));
  __m128 low = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  low = _mm_add_ps(low, _mm_movehl_ps(low, low));
  low = _mm_add_ss(low, _mm_movehdup_ps(low));
  return _mm_cvtss_f32(low);
}

__mmask16 TailMask(size_t n) { return static_cast<__mmask16>((1u << n) - 1); }

__m512 Load(const float* x) { return _mm512_loadu_ps(x); }

__m512 Load(const uint16_t* x) {
  return _mm512_maskz_cvtph_ps(kAllLanes, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)));
}

__m512 Widen(__m256i bits) {
  return _mm512_castsi512_ps(
      _mm512_maskz_slli_epi32(kAllLanes, _mm512_maskz_cvtepu16_epi32(kAllLanes, bits), 16));
}

__m512 Widen(__m128i codes) {
  return _mm512_maskz_cvtepi32_ps(kAllLanes, _mm512_maskz_cvtepi8_epi32(kAllLanes, codes));
}

__m512 Load(const Bf16* x) {
  return Widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)));
}

__m512 Load(const int8_t* x) { return Widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x))); }

__m512 LoadTail(const float* x, __mmask16 mask) { return _mm512_maskz_loadu_ps(mask, x); }

__m512 LoadTail(const uint16_t* x, __mmask16 mask) {
  return _mm512_maskz_cvtph_ps(kAllLanes, _mm256_maskz_loadu_epi16(mask, x));
}

__m512 LoadTail(const Bf16* x, __mmask16 mask) { return Widen(_mm256_maskz_loadu_epi16(mask, x)); }

__m512 LoadTail(const int8_t* x, __mmask16 mask) { return Widen(_mm_maskz_loadu_epi8(mask, x)); }

struct Dot {
  __m512 Add(__m512 q, __m512 x, __m512 sum) const { return _mm512_fmadd_ps(q, x, sum); }
};

struct L2 {
  __m512 Add(__m512 q, __m512 x, __m512 sum) const {
    const __m512 difference = _mm512_sub_ps(q, x);
    return _mm512_fmadd_ps(difference, difference, sum);
  }
};

struct ScaledL2 {
  __m512 scale;
  __m512 Add(__m512 q, __m512 x, __m512 sum) const {
    const __m512 difference = _mm512_fnmadd_ps(scale, x, q);
    return _mm512_fmadd_ps(difference, difference, sum);
  }
};

template <typename Term, typename Element>
float Sum(const float* q, const Element* x, size_t n, Term term = Term()) {
  __m512 sums[kSums];
  for (size_t j = 0; j < kSums; ++j) sums[j] = _mm512_setzero_ps();
  size_t i = 0;
  for (; i + kSums * kLanes <= n; i += kSums * kLanes) {
    for (size_t j = 0; j < kSums; ++j) {
      sums[j] = term.Add(Load(q + i + j * kLanes), Load(x + i + j * kLanes), sums[j]);
    }
  }
  for (; i + kLanes <= n; i += kLanes) sums[0] = term.Add(Load(q + i), Load(x + i), sums[0]);
  if (i < n) {
    const __mmask16 mask = TailMask(n - i);
    sums[1] = term.Add(LoadTail(q + i, mask), LoadTail(x + i, mask), sums[1]);
  }
  return ReduceAdd(_mm512_add_ps(_mm512_add_ps(sums[0], sums[2]), _mm512_add_ps(sums[1], sums[3])));
}

// Rows and queries of a tile, whose dot products fill a register.
constexpr size_t kSide = 4;
// Rows and queries whose sums stay in registers together, beside what they are made of. Loops over
// them must be unrolled early: else GCC keeps sums in memory, and a tile takes 1.6 times as long.
constexpr size_t kPairs = kSide * 2;

void SetZero(__m512 (&sums)[kPairs]) {
#pragma GCC unroll 8
  for (size_t i = 0; i < kPairs; ++i) sums[i] = _mm512_setzero_ps();
}

void Add(const __m512 (&x)[kPairs], __m512 (&sums)[kPairs]) {
#pragma GCC unroll 8
  for (size_t i = 0; i < kPairs; ++i) sums[i] = _mm512_add_ps(sums[i], x[i]);
}

// Of two queries and four rows, sums[kFirst] + sums[kFirst + 2] of Sum<Dot>: [query][row].
template <size_t kFirst>
void SumPairs(const float* const* queries, const float* const* rows, size_t n,
              __m512 (&sums)[kPairs]) {
  const auto add = [&](const auto& load, __m512(&to)[kPairs]) {
    __m512 x[kSide];
#pragma GCC unroll 8
    for (size_t r = 0; r < kSide; ++r) {
      x[r] = load(rows[r]);
      asm("" : "+v"(x[r]));  // GCC would load it again for each query: an eighth slower
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < kPairs; ++i) {
      to[i] = Dot().Add(load(queries[i / kSide]), x[i % kSide], to[i]);
    }
  };
  __m512 second[kPairs];
  SetZero(sums);
  SetZero(second);
  size_t i = 0;
  for (; i + kSums * kLanes <= n; i += kSums * kLanes) {
    add([i](const float* x) { return Load(x + i + kFirst * kLanes); }, sums);
    add([i](const float* x) { return Load(x + i + (kFirst + 2) * kLanes); }, second);
  }
  if constexpr (kFirst == 0) {
    for (; i + kLanes <= n; i += kLanes) add([i](const float* x) { return Load(x + i); }, sums);
  } else if (n % kLanes != 0) {
    const __mmask16 mask = TailMask(n % kLanes);
    i = n - n % kLanes;
    add([i, mask](const float* x) { return LoadTail(x + i, mask); }, sums);
  }
  Add(second, sums);
}

// Dot products of two queries and four rows but for the last addition: 128-bit lane r has two terms
// of query 0 and row r, and two of query 1. The additions are those of ReduceAdd, for several
// vectors in one register.
__m512 HalfTile(const float* const* queries, const float* const* rows, size_t n) {
  __m512 sums[kPairs], odd[kPairs];
  SumPairs<0>(queries, rows, n, sums);
  SetZero(odd);
  if (n >= kSums * kLanes || n % kLanes != 0) SumPairs<1>(queries, rows, n, odd);
  Add(odd, sums);
#pragma GCC unroll 8
  for (size_t i = 0; i < 4; ++i) {
    const __m512 a = sums[2 * i], b = sums[2 * i + 1];
    sums[i] = _mm512_add_ps(_mm512_maskz_shuffle_f32x4(kAllLanes, a, b, 0x44),
                            _mm512_maskz_shuffle_f32x4(kAllLanes, a, b, 0xEE));
  }
#pragma GCC unroll 8
  for (size_t i = 0; i < 2; ++i) {
    const __m512 a = sums[2 * i], b = sums[2 * i + 1];
    sums[i] = _mm512_add_ps(_mm512_maskz_shuffle_f32x4(kAllLanes, a, b, 0x88),
                            _mm512_maskz_shuffle_f32x4(kAllLanes, a, b, 0xDD));
  }
  return _mm512_add_ps(_mm512_maskz_shuffle_ps(kAllLanes, sums[0], sums[1], 0x44),
                       _mm512_maskz_shuffle_ps(kAllLanes, sums[0], sums[1], 0xEE));
}

// [row][query]; `width`: queries that are wanted.
__m512 DotsOfTile(const float* const* queries, size_t width, const float* const* rows, size_t n) {
  const __m512 a = HalfTile(queries, rows, n);
  const __m512 b = width > 2 ? HalfTile(queries + 2, rows, n) : a;
  return _mm512_add_ps(_mm512_maskz_shuffle_ps(kAllLanes, a, b, 0x88),
                       _mm512_maskz_shuffle_ps(kAllLanes, a, b, 0xDD));
}

// The vectors of a side of a tile; the last one stands in for those that are not there.
size_t TakeSide(const float* const* vectors, size_t count, const float* (&side)[kSide]) {
  const size_t taken = count < kSide ? count : kSide;
  for (size_t i = 0; i < kSide; ++i) side[i] = vectors[i < taken ? i : taken - 1];
  return taken;
}

__m256i ToHalves(__m512 x) {
  return _mm512_maskz_cvtps_ph(kAllLanes, x, _MM_FROUND_TO_NEAREST_INT);
}

// Ties to even: 0x7FFF is added, and 1 more where the upper half is odd. NaN is made quiet.
__m256i ToBf16(__m512 x) {
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i upper = _mm512_maskz_srli_epi32(kAllLanes, bits, 16);
  const __m512i odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
  const __m512i half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF));
  const __m512i rounded = _mm512_maskz_srli_epi32(kAllLanes, _mm512_add_epi32(bits, half), 16);
  const __mmask16 is_nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  const __m512i out = _mm512_mask_or_epi32(rounded, is_nan, upper, _mm512_set1_epi32(0x40));
  return _mm512_maskz_cvtepi32_epi16(kAllLanes, out);
}

template <__m256i (*kNarrow)(__m512), typename Element>
void Narrow(const float* x, size_t n, Element* out) {
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), kNarrow(Load(x + i)));
  }
  if (i == n) return;
  const __mmask16 mask = TailMask(n - i);
  _mm256_mask_storeu_epi16(out + i, mask, kNarrow(LoadTail(x + i, mask)));
}

float LargestMagnitude(const float* x, size_t n) {
  __m512 most = _mm512_setzero_ps();
  for (size_t i = 0; i < n; i += kLanes) {
    const __mmask16 mask = n - i < kLanes ? TailMask(n - i) : kAllLanes;
    most = _mm512_maskz_max_ps(kAllLanes, most, _mm512_abs_ps(LoadTail(x + i, mask)));
  }
  const __m256 eight = _mm256_max_ps(_mm512_maskz_extractf32x8_ps(0xFF, most, 0),
                                     _mm512_maskz_extractf32x8_ps(0xFF, most, 1));
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

__m128i ToCodes(__m512 x) {
  return _mm512_maskz_cvtepi32_epi8(kAllLanes, _mm512_maskz_cvtps_epi32(kAllLanes, x));
}

template <typename Element>
void ToF32(const Element* x, size_t n, float* out) {
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) _mm512_storeu_ps(out + i, Load(x + i));
  if (i == n) return;
  const __mmask16 mask = TailMask(n - i);
  _mm512_mask_storeu_ps(out + i, mask, LoadTail(x + i, mask));
}

// Sixteen-bit products as in avx2.cc: VPMADDUBSW would saturate.
struct MultiplyWidened {
  __m512i q_even;
  __m512i q_odd;

  static MultiplyWidened Prepare(__m512i q) {
    return {_mm512_srai_epi16(_mm512_slli_epi16(q, 8), 8), _mm512_srai_epi16(q, 8)};
  }
  __m512i Add(__m512i sum, __m512i x) const {
    const __m512i even = _mm512_madd_epi16(_mm512_and_si512(x, _mm512_set1_epi16(0x00FF)), q_even);
    const __m512i odd = _mm512_madd_epi16(_mm512_srli_epi16(x, 8), q_odd);
    return _mm512_add_epi32(sum, _mm512_add_epi32(even, odd));
  }
};

// Two lookups of four bits for each byte.
struct NibbleLookup {
  static constexpr size_t kTableBytes = kNibblesPerStrip * kNibbleValues;
  const uint8_t* bytes;

  static NibbleLookup Load(const uint8_t* bytes) { return {bytes}; }
  __m512i Sum(const uint8_t* tables) const {
    const __m512i low_nibble = _mm512_set1_epi8(0x0F);
    const auto* table = reinterpret_cast<const __m128i*>(tables);
    __m512i sums[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    for (size_t c = 0; c < kNibblesPerStrip / 2; ++c) {
      const __m512i x = _mm512_loadu_si512(bytes + c * kBlockRows);
      const __m512i first = _mm512_and_si512(x, low_nibble);
      const __m512i second = _mm512_and_si512(_mm512_srli_epi16(x, 4), low_nibble);
      const __m512i low = _mm512_maskz_broadcast_i32x4(kAllLanes, _mm_load_si128(table + 2 * c));
      const __m512i high =
          _mm512_maskz_broadcast_i32x4(kAllLanes, _mm_load_si128(table + 2 * c + 1));
      sums[0] = _mm512_add_epi8(sums[0], _mm512_shuffle_epi8(low, first));
      sums[1] = _mm512_add_epi8(sums[1], _mm512_shuffle_epi8(high, second));
    }
    return _mm512_add_epi8(sums[0], sums[1]);
  }
};

}  // namespace

namespace avx512 {

float DotF32(const float* q, const float* x, size_t n) { return Sum<Dot>(q, x, n); }
float DotF16(const float* q, const uint16_t* x, size_t n) { return Sum<Dot>(q, x, n); }
float DotBf16(const float* q, const Bf16* x, size_t n) { return Sum<Dot>(q, x, n); }
float DotInt8(const float* q, const int8_t* x, float scale, size_t n) {
  return scale * Sum<Dot>(q, x, n);
}
void DotsF32(const float* const* queries, size_t query_count, const float* const* rows,
             size_t row_count, size_t n, float* sums) {
  const float* some_queries[kSide];
  const float* some_rows[kSide];
  for (size_t q = 0; q < query_count; q += kSide) {
    const size_t width = TakeSide(queries + q, query_count - q, some_queries);
    for (size_t row = 0; row < row_count; row += kSide) {
      const size_t height = TakeSide(rows + row, row_count - row, some_rows);
      alignas(64) float tile[kSide * kSide];
      _mm512_store_ps(tile, DotsOfTile(some_queries, width, some_rows, n));
      const auto mask = static_cast<__mmask8>((1u << width) - 1);
      for (size_t r = 0; r < height; ++r) {
        float* out = sums + (row + r) * query_count + q;
        const __m128 sum = _mm_add_ps(_mm_maskz_loadu_ps(mask, out), _mm_load_ps(tile + r * kSide));
        _mm_mask_storeu_ps(out, mask, sum);
      }
    }
  }
}
float L2F32(const float* q, const float* x, size_t n) { return Sum<L2>(q, x, n); }
float L2F16(const float* q, const uint16_t* x, size_t n) { return Sum<L2>(q, x, n); }
float L2Bf16(const float* q, const Bf16* x, size_t n) { return Sum<L2>(q, x, n); }
float L2Int8(const float* q, const int8_t* x, float scale, size_t n) {
  return Sum(q, x, n, ScaledL2{_mm512_set1_ps(scale)});
}

void F32ToF16(const float* x, size_t n, uint16_t* out) { Narrow<ToHalves>(x, n, out); }

void F16ToF32(const uint16_t* x, size_t n, float* out) { ToF32(x, n, out); }

void F32ToBf16(const float* x, size_t n, Bf16* out) { Narrow<ToBf16>(x, n, out); }

void Bf16ToF32(const Bf16* x, size_t n, float* out) { ToF32(x, n, out); }

float F32ToInt8(const float* x, size_t n, int8_t* out) {
  const float scale = Int8Scale(LargestMagnitude(x, n));
  const __m512 inverse = _mm512_set1_ps(Int8Inverse(scale));
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i),
                     ToCodes(_mm512_mul_ps(Load(x + i), inverse)));
  }
  if (i == n) return scale;
  const __mmask16 mask = TailMask(n - i);
  _mm_mask_storeu_epi8(out + i, mask, ToCodes(_mm512_mul_ps(LoadTail(x + i, mask), inverse)));
  return scale;
}

void Int8ToF32(const int8_t* x, float scale, size_t n, float* out) {
  const __m512 factor = _mm512_set1_ps(scale);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    _mm512_storeu_ps(out + i, _mm512_mul_ps(Load(x + i), factor));
  }
  if (i == n) return;
  const __mmask16 mask = TailMask(n - i);
  _mm512_mask_storeu_ps(out + i, mask, _mm512_mul_ps(LoadTail(x + i, mask), factor));
}

}  // namespace avx512

constinit const Table kAvx512Table = {
    .set = InstructionSet::kAvx512,
    .name = "avx512",
    .dot_f32 = avx512::DotF32,
    .dot_f16 = avx512::DotF16,
    .dot_bf16 = avx512::DotBf16,
    .dot_int8 = avx512::DotInt8,
    .l2_f32 = avx512::L2F32,
    .l2_f16 = avx512::L2F16,
    .l2_bf16 = avx512::L2Bf16,
    .l2_int8 = avx512::L2Int8,
    .dots_f32 = avx512::DotsF32,
    .f32_to_f16 = avx512::F32ToF16,
    .f16_to_f32 = avx512::F16ToF32,
    .f32_to_bf16 = avx512::F32ToBf16,
    .bf16_to_f32 = avx512::Bf16ToF32,
    .f32_to_int8 = avx512::F32ToInt8,
    .int8_to_f32 = avx512::Int8ToF32,
    .scan_int8 = ScanInt8<MultiplyWidened>,
    .bit_table_bytes = NibbleLookup::kTableBytes,
    .make_bit_tables = MakeNibbleTables,
    .scan_bits = ScanBits<NibbleLookup>,
    .score_bit_rows = ScoreRowsByPopcount,
};

}  // namespace mrl::kernels
