// The int8 scan of the two AVX-512 sets, which differ in how they multiply one word of codes.
// Included by avx512.cc and avx512icl.cc only; `static` for the reason given in scan_block.h.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "index/kernels/scan_block.h"

namespace mrl::kernels {

static constexpr size_t kScanLanes = 16;
static constexpr size_t kScanGroups = kBlockRows / kScanLanes;  // vectors of rows in a block

// For zero-masking forms that mask nothing: in the plain ones GCC 12 warns of the undefined
// register that they pass on. The code made is the same.
static constexpr __mmask16 kAllLanes = 0xFFFF;

// Dot products of one block, codes still 128 too large, 16 rows to a vector. Multiply::Prepare
// takes the query's word, broadcast; Multiply::Add adds its product with 16 rows' words.
template <typename Multiply>
static inline void DotBlock(const uint8_t* codes, const int8_t* query, size_t words,
                            __m512i (&dots)[kScanGroups]) {
  for (size_t g = 0; g < kScanGroups; ++g) dots[g] = _mm512_setzero_si512();
  for (size_t word = 0; word < words; ++word, codes += kBlockRows * kWordDims) {
    int32_t query_word;
    std::memcpy(&query_word, query + word * kWordDims, sizeof(query_word));
    const Multiply multiply = Multiply::Prepare(_mm512_set1_epi32(query_word));
    for (size_t g = 0; g < kScanGroups; ++g) {
      dots[g] = multiply.Add(dots[g], _mm512_loadu_si512(codes + g * sizeof(__m512i)));
    }
  }
}

// What stays the same from block to block.
struct ScanVectors {
  __m512i offset;
  __m512i lane;
  __m512 threshold;
};

// Appends the rows of `mask` that reach the threshold; returns the new count. Whole vectors are
// stored and the next ones overwrite what is left over (a compressing store is slow on Zen 4): the
// 64 places that are free when a block starts leave room for 16 at every group.
static inline size_t AppendSurvivors(const Int8Scan& scan, const __m512i (&dots)[kScanGroups],
                                     size_t block, uint64_t mask, const BlockTerms& terms,
                                     const ScanVectors& vectors, const Int8Survivors& out,
                                     size_t count) {
  const __m512 scale = _mm512_set1_ps(terms.scale);
  const __m512 error = _mm512_set1_ps(terms.error);
  for (size_t g = 0; g < kScanGroups; ++g) {
    const size_t first = block * kBlockRows + g * kScanLanes;
    const __mmask16 rows = static_cast<__mmask16>(mask >> (g * kScanLanes));
    const __m512 bias = scan.row_bias == nullptr
                            ? _mm512_setzero_ps()
                            : _mm512_maskz_loadu_ps(rows, scan.row_bias + first);
    const __m512 dot =
        _mm512_maskz_cvtepi32_ps(kAllLanes, _mm512_sub_epi32(dots[g], vectors.offset));
    const __m512 estimate = _mm512_add_ps(bias, _mm512_mul_ps(scale, dot));
    const __m512 upper = _mm512_add_ps(estimate, error);
    const __mmask16 survivors = _mm512_mask_cmp_ps_mask(rows, upper, vectors.threshold, _CMP_GE_OQ);
    if (survivors == 0) continue;
    const __m512i ids =
        _mm512_add_epi32(_mm512_set1_epi32(static_cast<int32_t>(first)), vectors.lane);
    _mm512_storeu_ps(out.upper + count, _mm512_maskz_compress_ps(survivors, upper));
    _mm512_storeu_si512(out.rows + count, _mm512_maskz_compress_epi32(survivors, ids));
    count += static_cast<size_t>(__builtin_popcount(survivors));
  }
  return count;
}

template <typename Multiply>
static inline size_t ScanInt8(const Int8Scan& scan, const Int8Query& query, float threshold,
                              Int8Survivors* out) {
  const ScanVectors vectors = {
      _mm512_set1_epi32(CodeOffset(query)),
      _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
      _mm512_set1_ps(threshold)};
  const size_t block_bytes = scan.words * kBlockRows * kWordDims;
  size_t count = out->count;
  size_t block = scan.block_begin;
  for (; block < scan.block_end && out->capacity - count >= kBlockRows; ++block) {
    const uint64_t mask = RowMask(scan, block);
    if (mask == 0) continue;
    __m512i dots[kScanGroups];
    DotBlock<Multiply>(scan.codes + block * block_bytes, query.codes, scan.words, dots);
    const BlockTerms terms = TermsOf(scan.blocks[block], query);
    count = AppendSurvivors(scan, dots, block, mask, terms, vectors, *out, count);
  }
  out->count = count;
  return block;
}

}  // namespace mrl::kernels
