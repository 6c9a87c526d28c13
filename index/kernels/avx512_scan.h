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

// Appends the rows of `mask` that reach the threshold. Whole vectors are stored and the next ones
// overwrite what is left over (a compressing store is slow on Zen 4): the 64 places that are free
// when a block starts leave room for 16 at every group. Dots are still 128 too large.
static inline void AppendSurvivors(const Int8Scan& scan, const __m512i (&dots)[kScanGroups],
                                   size_t block, uint64_t mask, const BlockTerms& terms,
                                   Int8TileQuery* query) {
  const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const __m512i offset = _mm512_set1_epi32(CodeOffset(query->query));
  const __m512 threshold = _mm512_set1_ps(query->threshold);
  const __m512 scale = _mm512_set1_ps(terms.scale);
  const __m512 error = _mm512_set1_ps(terms.error);
  Int8Survivors& out = query->out;
  for (size_t g = 0; g < kScanGroups; ++g) {
    const size_t first = block * kBlockRows + g * kScanLanes;
    const __mmask16 rows = static_cast<__mmask16>(mask >> (g * kScanLanes));
    const __m512 bias = scan.row_bias == nullptr
                            ? _mm512_setzero_ps()
                            : _mm512_maskz_loadu_ps(rows, scan.row_bias + first);
    const __m512 dot = _mm512_maskz_cvtepi32_ps(kAllLanes, _mm512_sub_epi32(dots[g], offset));
    const __m512 estimate = _mm512_add_ps(bias, _mm512_mul_ps(scale, dot));
    const __m512 upper = _mm512_add_ps(estimate, error);
    const __mmask16 survivors = _mm512_mask_cmp_ps_mask(rows, upper, threshold, _CMP_GE_OQ);
    if (survivors == 0) continue;
    const __m512i ids = _mm512_add_epi32(_mm512_set1_epi32(static_cast<int32_t>(first)), lane);
    _mm512_storeu_ps(out.upper + out.count, _mm512_maskz_compress_ps(survivors, upper));
    _mm512_storeu_si512(out.rows + out.count, _mm512_maskz_compress_epi32(survivors, ids));
    out.count += static_cast<size_t>(__builtin_popcount(survivors));
  }
}

// Whether any dot product may reach the threshold.
static inline bool MayReach(const __m512i (&dots)[kScanGroups], const BlockTerms& terms,
                            const Int8TileQuery& query) {
  const int64_t least = int64_t{LeastDot(terms, query.threshold)} + CodeOffset(query.query);
  if (least > INT32_MAX) return false;
  const __m512i bound =
      _mm512_set1_epi32(least < INT32_MIN ? INT32_MIN : static_cast<int32_t>(least));
  unsigned reached = 0;
  for (const __m512i& group : dots) reached |= _mm512_cmpge_epi32_mask(group, bound);
  return reached != 0;
}

// One block for kQueries queries, 16 rows to a vector. Multiply::Prepare takes a query's word,
// broadcast; Multiply::Add adds its product with 16 rows' words.
template <typename Multiply, size_t kQueries>
static inline void ScanBlock(const Int8Scan& scan, Int8TileQuery* queries, size_t block,
                             uint64_t mask) {
  const uint8_t* codes = scan.codes + block * scan.words * kBlockRows * kWordDims;
  __m512i dots[kQueries][kScanGroups];
  for (auto& row : dots) {
    for (__m512i& group : row) group = _mm512_setzero_si512();
  }
  for (size_t word = 0; word < scan.words; ++word, codes += kBlockRows * kWordDims) {
    __m512i x[kScanGroups];
    for (size_t g = 0; g < kScanGroups; ++g) {
      x[g] = _mm512_loadu_si512(codes + g * sizeof(__m512i));
    }
    for (size_t q = 0; q < kQueries; ++q) {
      int32_t query_word;
      std::memcpy(&query_word, queries[q].query.codes + word * kWordDims, sizeof(query_word));
      const Multiply multiply = Multiply::Prepare(_mm512_set1_epi32(query_word));
      for (size_t g = 0; g < kScanGroups; ++g) dots[q][g] = multiply.Add(dots[q][g], x[g]);
    }
  }
  for (size_t q = 0; q < kQueries; ++q) {
    const BlockTerms terms = TermsOf(scan.blocks[block], queries[q].query);
    if (scan.row_bias == nullptr && !MayReach(dots[q], terms, queries[q])) continue;
    AppendSurvivors(scan, dots[q], block, mask, terms, &queries[q]);
  }
}

// Four queries share one load of a block: more would spill their sums.
template <typename Multiply>
static inline size_t ScanInt8(const Int8Scan& scan, Int8TileQuery* queries, size_t query_count) {
  for (size_t block = scan.block_begin; block < scan.block_end; ++block) {
    if (!HasRoom(queries, query_count)) return block;
    const uint64_t mask = RowMask(scan, block);
    if (mask == 0) continue;
    size_t q = 0;
    for (; q + 4 <= query_count; q += 4) ScanBlock<Multiply, 4>(scan, queries + q, block, mask);
    for (; q + 2 <= query_count; q += 2) ScanBlock<Multiply, 2>(scan, queries + q, block, mask);
    for (; q < query_count; ++q) ScanBlock<Multiply, 1>(scan, queries + q, block, mask);
  }
  return scan.block_end;
}

}  // namespace mrl::kernels
