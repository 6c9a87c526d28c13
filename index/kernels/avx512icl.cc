// AVX-512 of Ice Lake and Zen 4 on: what avx512.cc has, with VNNI for the int8 scan, and VBMI and
// VPOPCNTDQ for bit codes.
#include <immintrin.h>

#include "index/kernels/avx512_bits.h"
#include "index/kernels/avx512_scan.h"
#include "index/kernels/tables.h"

namespace mrl::kernels {
namespace {

// VPDPBUSD takes unsigned data (this is why stored codes are 128 too large) and does not saturate.
struct MultiplyVnni {
  __m512i q;

  static MultiplyVnni Prepare(__m512i word) { return {word}; }
  __m512i Add(__m512i sum, __m512i x) const { return _mm512_dpbusd_epi32(sum, x, q); }
};

// VPERMB looks six bits up at a time and ignores the two above them: the eight bytes of a strip are
// eight indexes as they are, and the bits left over of three, three and two bytes are three more.
struct SextetLookup {
  static constexpr size_t kIndexes = 11;
  static constexpr size_t kTableBytes = kIndexes * 64;
  __m512i index[kIndexes];

  static SextetLookup Load(const uint8_t* bytes) {
    SextetLookup out;
    for (size_t c = 0; c < 8; ++c) out.index[c] = _mm512_loadu_si512(bytes + c * kBlockRows);
    out.index[8] = LeftOver(out.index[0], out.index[1], out.index[2]);
    out.index[9] = LeftOver(out.index[3], out.index[4], out.index[5]);
    out.index[10] = LeftOver(_mm512_setzero_si512(), out.index[6], out.index[7]);
    return out;
  }

  // The two highest bits of each byte of a, b and c, from the lowest place on. Shifting 16-bit
  // lanes drags bits of a neighbour along: only into places that are masked here or ignored.
  static __m512i LeftOver(__m512i a, __m512i b, __m512i c) {
    constexpr int kSelect = 0xCA;  // mask ? first : second
    const __m512i two = _mm512_set1_epi8(0x03);
    const __m512i four = _mm512_set1_epi8(0x0F);
    const __m512i ab =
        _mm512_ternarylogic_epi64(two, _mm512_srli_epi16(a, 6), _mm512_srli_epi16(b, 4), kSelect);
    return _mm512_ternarylogic_epi64(four, ab, _mm512_srli_epi16(c, 2), kSelect);
  }

  __m512i Sum(const uint8_t* tables) const {
    __m512i sums[2] = {Find(tables, 0), Find(tables, 1)};
    for (size_t i = 2; i < kIndexes; ++i) {
      sums[i % 2] = _mm512_add_epi8(sums[i % 2], Find(tables, i));
    }
    return _mm512_add_epi8(sums[0], sums[1]);
  }
  __m512i Find(const uint8_t* tables, size_t i) const {
    return _mm512_maskz_permutexvar_epi8(kAllBytes, index[i], _mm512_load_si512(tables + 64 * i));
  }

  static constexpr __mmask64 kAllBytes = ~__mmask64{0};
};

// Which bit of a strip is bit j of lookup i, or -1.
int BitOfLookup(size_t i, size_t j) {
  if (i < 8) return static_cast<int>(8 * i + j);
  const size_t byte = i == 10 ? 5 + j / 2 : 3 * (i - 8) + j / 2;
  if (i == 10 && j < 2) return -1;
  return static_cast<int>(8 * byte + 6 + j % 2);
}

void MakeSextetTables(const int8_t* weights, size_t strip_count, uint8_t* tables) {
  for (size_t strip = 0; strip < strip_count; ++strip, weights += kStripBits) {
    for (size_t i = 0; i < SextetLookup::kIndexes; ++i, tables += 64) {
      tables[0] = 0;
      int step[6];
      int base = 0;
      for (size_t j = 0; j < 6; ++j) {
        const int bit = BitOfLookup(i, j);
        const int weight = bit < 0 ? 0 : weights[bit];
        step[j] = weight;  // what setting the bit adds: |w| gained, or |w| lost
        if (weight < 0) base -= weight;
      }
      tables[0] = static_cast<uint8_t>(base);
      for (unsigned value = 1; value < 64; ++value) {
        const unsigned rest = value & (value - 1);
        tables[value] = static_cast<uint8_t>(tables[rest] + step[__builtin_ctz(value)]);
      }
    }
  }
}

// Sum of eight lanes, through masking forms (see kAllLanes in avx512_scan.h).
uint64_t ReduceAdd(__m512i sum) {
  const __m256i half = _mm256_add_epi64(_mm512_maskz_extracti64x4_epi64(0xFF, sum, 0),
                                        _mm512_maskz_extracti64x4_epi64(0xFF, sum, 1));
  const __m128i pair =
      _mm_add_epi64(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
  return static_cast<uint64_t>(_mm_cvtsi128_si64(pair) + _mm_extract_epi64(pair, 1));
}

constexpr size_t kRowPrefetch = 24;
constexpr size_t kLineWords = 8;

// Eight strips at a time; Horner's rule over the planes leaves one addition a plane.
void ScoreBitRows(const BitRows& bits, const uint32_t* rows, size_t count, uint16_t* scores) {
  constexpr int kAgreeing = 0x82;  // third & ~(first ^ second)
  for (size_t i = 0; i < count; ++i) {
    if (i + kRowPrefetch < count) {
      const uint64_t* later = bits.words + rows[i + kRowPrefetch] * bits.row_words;
      for (size_t s = 0; s < bits.strip_count; s += kLineWords) __builtin_prefetch(later + s);
    }
    const uint64_t* row = bits.words + rows[i] * bits.row_words;
    __m512i total = _mm512_setzero_si512();
    for (size_t strip = 0; strip < bits.strip_count; strip += kLineWords) {
      const size_t left = bits.strip_count - strip;
      const auto mask = static_cast<__mmask8>(left < kLineWords ? (1u << left) - 1 : 0xFF);
      const __m512i x = _mm512_maskz_loadu_epi64(mask, row + strip);
      const __m512i sign = _mm512_maskz_loadu_epi64(mask, bits.planes + strip);
      __m512i sum = _mm512_setzero_si512();
      for (size_t p = kBitPlanes - 1; p > 0; --p) {
        const __m512i plane =
            _mm512_maskz_loadu_epi64(mask, bits.planes + p * bits.strip_count + strip);
        const __m512i agree = _mm512_ternarylogic_epi64(x, sign, plane, kAgreeing);
        sum = _mm512_add_epi64(_mm512_add_epi64(sum, sum), _mm512_popcnt_epi64(agree));
      }
      total = _mm512_add_epi64(total, sum);
    }
    scores[i] = static_cast<uint16_t>(ReduceAdd(total));
  }
}

}  // namespace

constinit const Table kAvx512IclTable = {
    .set = InstructionSet::kAvx512Icl,
    .name = "avx512icl",
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
    .scan_int8 = ScanInt8<MultiplyVnni>,
    .bit_table_bytes = SextetLookup::kTableBytes,
    .make_bit_tables = MakeSextetTables,
    .scan_bits = ScanBits<SextetLookup>,
    .score_bit_rows = ScoreBitRows,
};

}  // namespace mrl::kernels
