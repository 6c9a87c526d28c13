// The scan of bit codes of the two AVX-512 sets, which differ in how they look a strip up.
// Included by avx512.cc and avx512icl.cc only; `static` for the reason given in scan_block.h.
//
// A strip's score fits into a byte (kBitStripSum), so that 64 rows are summed in one register;
// after each strip the sums of even and of odd rows are added to 16-bit sums, which costs four
// instructions and none of the port that shuffles use.
#pragma once

#include <immintrin.h>

#include "index/kernels/scan_block.h"

namespace mrl::kernels {

// Appends all rows of a block, in their order: samples are scanned without a threshold.
static inline void AppendBlock(__m512i even, __m512i odd, size_t block, BitSurvivors& out) {
  // The order of 64-bit words: two of `low` and two of `high` (from 8 on) are 16 rows in order.
  const __m512i first = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
  const __m512i second = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
  const __m512i low = _mm512_unpacklo_epi16(even, odd);
  const __m512i high = _mm512_unpackhi_epi16(even, odd);
  uint16_t* scores = out.scores + out.count;
  _mm512_storeu_si512(scores, _mm512_permutex2var_epi64(low, first, high));
  _mm512_storeu_si512(scores + 32, _mm512_permutex2var_epi64(low, second, high));
  const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  for (size_t row = 0; row < kBlockRows; row += 16) {
    const auto begin = static_cast<int32_t>(block * kBlockRows + row);
    _mm512_storeu_si512(out.rows + out.count + row,
                        _mm512_add_epi32(_mm512_set1_epi32(begin), lane));
  }
  out.count += kBlockRows;
}

// Appends the rows of `mask` whose sums reach the threshold.
static inline void AppendBitRows(__m512i even, __m512i odd, size_t block, uint64_t mask,
                                 BitQuery* query) {
  const __m512i threshold = _mm512_set1_epi16(static_cast<int16_t>(query->threshold));
  const uint32_t even_rows = _mm512_cmpge_epu16_mask(even, threshold);
  const uint32_t odd_rows = _mm512_cmpge_epu16_mask(odd, threshold);
  if ((even_rows | odd_rows) == 0) return;
  uint64_t rows =
      _pdep_u64(even_rows, 0x5555555555555555) | _pdep_u64(odd_rows, 0xAAAAAAAAAAAAAAAA);
  rows &= mask;
  if (rows == ~uint64_t{0}) return AppendBlock(even, odd, block, query->out);
  alignas(64) uint16_t scores[2][32];
  _mm512_store_si512(scores[0], even);
  _mm512_store_si512(scores[1], odd);
  for (; rows != 0; rows &= rows - 1) {
    const auto row = static_cast<size_t>(__builtin_ctzll(rows));
    Append(query->out, scores[row % 2][row / 2], block * kBlockRows + row);
  }
}

// `Lookup::Load` reads the 64 bits of 64 rows of one strip; `Sum` looks them up in a query's tables
// and adds up a byte per row.
template <typename Lookup, size_t kQueries>
static inline void ScanBitBlock(const BitScan& scan, BitQuery* queries, size_t block,
                                uint64_t mask) {
  const __m512i low_byte = _mm512_set1_epi16(0x00FF);
  __m512i even[kQueries];
  __m512i odd[kQueries];
  // The first strip fills the sums: zeros would be written by a string instruction, which takes as
  // long as a strip.
  const Lookup first = Lookup::Load(scan.strips[0] + block * kStripBlockBytes);
  for (size_t q = 0; q < kQueries; ++q) {
    const __m512i sum = first.Sum(queries[q].tables);
    even[q] = _mm512_and_si512(sum, low_byte);
    odd[q] = _mm512_srli_epi16(sum, 8);
  }
  for (size_t strip = 1; strip < scan.strip_count; ++strip) {
    const Lookup bits = Lookup::Load(scan.strips[strip] + block * kStripBlockBytes);
    for (size_t q = 0; q < kQueries; ++q) {
      const __m512i sum = bits.Sum(queries[q].tables + strip * Lookup::kTableBytes);
      even[q] = _mm512_add_epi16(even[q], _mm512_and_si512(sum, low_byte));
      odd[q] = _mm512_add_epi16(odd[q], _mm512_srli_epi16(sum, 8));
    }
  }
  for (size_t q = 0; q < kQueries; ++q) AppendBitRows(even[q], odd[q], block, mask, &queries[q]);
}

// Scans blocks [begin, end) for queries from `q` on, kQueries at a time, while there are so many;
// the first query that is left.
template <typename Lookup, size_t kQueries>
static inline size_t ScanBitBlocks(const BitScan& scan, size_t begin, size_t end, BitQuery* queries,
                                   size_t query_count, size_t q) {
  for (; q + kQueries <= query_count; q += kQueries) {
    for (size_t block = begin; block < end; ++block) {
      const uint64_t mask = RowMask(scan, block);
      if (mask != 0) ScanBitBlock<Lookup, kQueries>(scan, queries + q, block, mask);
    }
  }
  return q;
}

// Blocks that some queries see before others do: the tables of eight queries stay in the
// first-level cache meanwhile, those of sixteen do not fit there.
constexpr size_t kBlocksInTurn = 16;

// Eight queries share one load of a block: more would spill their sums.
template <typename Lookup>
static inline size_t ScanBits(const BitScan& scan, BitQuery* queries, size_t query_count) {
  for (size_t block = scan.block_begin; block < scan.block_end;) {
    if (!HasRoom(queries, query_count)) return block;
    const size_t left = scan.block_end - block;
    const size_t wanted = left < kBlocksInTurn ? left : kBlocksInTurn;
    const size_t end = block + (HasRoom(queries, query_count, wanted) ? wanted : 1);
    size_t q = ScanBitBlocks<Lookup, 8>(scan, block, end, queries, query_count, 0);
    q = ScanBitBlocks<Lookup, 4>(scan, block, end, queries, query_count, q);
    q = ScanBitBlocks<Lookup, 2>(scan, block, end, queries, query_count, q);
    ScanBitBlocks<Lookup, 1>(scan, block, end, queries, query_count, q);
    block = end;
  }
  return scan.block_end;
}

}  // namespace mrl::kernels
