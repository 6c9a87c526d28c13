// The scan: every row of a segment against a tile of queries, with the selection fused.
//
// A warp takes blocks of 64 rows, two rows a lane, and reads a block once for all queries of the
// tile: four code values at a time meet four of each query in one dp4a. A score is compared with
// its query's threshold while it is in a register, and only what reaches it is written: there is no
// matrix of scores. The threshold comes from a scan of some blocks by the same kernel.
//
// Two kinds of codes (index/coarse/scan_codes.h, bit_codes.h):
// - 8 bits, as they lie in a segment's file. key = (bias + scale * dot) + error, where the error is
//   0 when estimates are wanted and a bound on their error when upper bounds are.
// - 1, 2 or 4 bits: bits become bytes 0 and 1 in registers, four by one multiplication, and meet
//   the query's weights. With `base` = the sum of magnitudes of negative weights, base + dot is the
//   sum of magnitudes that agree: the integer that the CPU's tables give.
//
// popcount instead, over the planes of the weights, needs ten per 64 bits and query at a quarter of
// dp4a's rate; it is what the gathering kernel uses, whose rows meet one query.
#pragma once

#include <cmath>

#include "index/coarse/gpu/block.h"
#include "index/kernels/kernels.h"

namespace mrl::coarse::gpu {

// One query against codes. `words`: its codes or weights, four to a word.
struct CodeQuery {
  float scale = 0;       // 8 bits: of the codes
  float norm = 0;        // 8 bits: times a block's error_norm; 0 for estimates
  float error_norm = 0;  // 8 bits: times a block's norm_max; 0 for estimates
  float slack = 0;       // what roundings can add up to
  int32_t base = 0;      // other codes
};

// The codes of one prefix on a device.
struct Codes {
  const uint32_t* words =
      nullptr;             // 8 bits: word w of row r of block b at (b * row_words + w) * 64 + r
                           // else: bits [32h, 32h + 32) of it at (b * row_words + h) * 64 + r
  uint32_t row_words = 0;  // of a whole row
  const kernels::Int8Block* blocks = nullptr;  // 8 bits
  const float* row_bias = nullptr;             // 8 bits under L2
  uint32_t rows = 0;
};

struct ScanArgs {
  Codes codes = {};
  const uint64_t* allowed = nullptr;  // bitmap over rows; null = all
  // Which blocks: `block_count` of them, from `block_first` on, `block_step` apart.
  uint32_t block_first = 0;
  uint32_t block_step = 1;
  uint32_t block_count = 0;
  // The batch. Query q's words begin at query_words + q * word_count; word_count is a multiple of
  // the kind's chunk, zeros fill it.
  const CodeQuery* queries = nullptr;
  const uint32_t* query_words = nullptr;
  uint32_t word_count = 0;
  uint32_t query_count = 0;
  const Entry* thresholds = nullptr;  // per query; null = 0 for all
  EntryLists out = {};                // appended to
};

// How codes become words of four signed bytes.
struct Int8Codes {
  static constexpr uint32_t kChunk = 4;  // words of the query that one Load serves
  static MRL_GPU_CODE void Load(const Codes& codes, uint32_t block, uint32_t chunk, uint32_t row,
                                uint32_t (&out)[kChunk]) {
    for (uint32_t i = 0; i < kChunk; ++i) {
      const uint32_t word = chunk * kChunk + i;
      const size_t at = (size_t{block} * codes.row_words + word) * kCodeRows + row;
      // Stored values are 128 too large; words past the row meet zeros.
      out[i] = word < codes.row_words ? codes.words[at] ^ 0x80808080U : 0;
    }
  }
  // What the rows of a block share.
  using BlockTerms = kernels::Int8Block;
  static MRL_GPU_CODE BlockTerms TermsOf(const Codes& codes, uint32_t block) {
    return codes.blocks[block];
  }
  static MRL_GPU_CODE float BiasOf(const Codes& codes, uint32_t row) {
    return codes.row_bias == nullptr ? 0.0F : codes.row_bias[row];
  }
  static MRL_GPU_CODE float Key(const BlockTerms& block, const CodeQuery& query, float bias,
                                int32_t dot) {
    const float error =
        Plus(Multiply(query.norm, block.error_norm), Multiply(query.error_norm, block.norm_max));
    const float scale = Multiply(block.scale, query.scale);
    return Plus(Plus(bias, Multiply(scale, static_cast<float>(dot))), error);
  }
};

struct BitCodes {
  static constexpr uint32_t kChunk = 8;
  static MRL_GPU_CODE void Load(const Codes& codes, uint32_t block, uint32_t chunk, uint32_t row,
                                uint32_t (&out)[kChunk]) {
    const uint32_t bits = codes.words[(size_t{block} * codes.row_words + chunk) * kCodeRows + row];
    // A nibble times 0x00204081 has its bits at 0, 8, 16 and 24, each alone in its byte there.
    for (uint32_t i = 0; i < kChunk; ++i) {
      out[i] = (bits >> (4 * i) & 15U) * 0x00204081U & 0x01010101U;
    }
  }
  struct BlockTerms {};
  static MRL_GPU_CODE BlockTerms TermsOf(const Codes&, uint32_t) { return {}; }
  static MRL_GPU_CODE float BiasOf(const Codes&, uint32_t) { return 0; }
  static MRL_GPU_CODE float Key(BlockTerms, const CodeQuery& query, float, int32_t dot) {
    return static_cast<float>(query.base + dot);
  }
};

// What one block of threads shares: its tile of queries, then their words.
template <uint32_t kTile>
struct ScanShared {
  CodeQuery queries[kTile];
  Entry thresholds[kTile];
  float floors[kTile];
};

// Bit r: row r of `block` exists and is allowed.
MRL_GPU_CODE uint64_t RowMask(const ScanArgs& args, uint32_t block) {
  const uint32_t left = args.codes.rows - block * kCodeRows;
  const uint64_t present = left >= kCodeRows ? ~uint64_t{0} : (uint64_t{1} << left) - 1;
  return args.allowed == nullptr ? present : present & args.allowed[block];
}

template <typename Block>
MRL_GPU_CODE void Append(Block& block, const EntryLists& out, uint32_t query, Entry entry) {
  const uint32_t at = block.Add(&out.counts[query], 1U);
  if (at < out.capacity) out.entries[size_t{query} * out.capacity + at] = entry;
}

// The first query of the tile of a block of threads, and how many it has.
template <uint32_t kTile, typename Block>
MRL_GPU_CODE uint32_t TileBegin(const Block& block) {
  return block.y() * kTile;
}

template <typename Kind, uint32_t kTile, typename Block>
MRL_GPU_CODE void LoadTile(Block& block, const ScanArgs& args, ScanShared<kTile>& shared,
                           uint32_t* words) {
  const uint32_t begin = TileBegin<kTile>(block);
  block.Each([&](uint32_t thread) {
    for (uint32_t i = thread; i < kTile * args.word_count; i += kThreads) {
      const uint32_t query = begin + i / args.word_count;
      words[i] =
          query < args.query_count ? args.query_words[size_t{begin} * args.word_count + i] : 0;
    }
    if (thread >= kTile) return;
    const uint32_t query = begin + thread;
    const bool there = query < args.query_count;
    shared.queries[thread] = there ? args.queries[query] : CodeQuery{};
    const Entry threshold = there && args.thresholds != nullptr ? args.thresholds[query] : 0;
    shared.thresholds[thread] = threshold;
    // Whatever is NaN reaches no floor.
    shared.floors[thread] = threshold == 0 ? -INFINITY : KeyOf(threshold);
  });
}

// Words of a query that one load of shared memory brings.
struct alignas(16) FourWords {
  uint32_t words[4];
};

// Both rows of one lane against the tile.
template <typename Kind, uint32_t kTile>
MRL_GPU_CODE void SumLane(const ScanArgs& args, const uint32_t* words, uint32_t code_block,
                          uint32_t lane, int32_t (&sums)[kTile][2]) {
  for (uint32_t q = 0; q < kTile; ++q) sums[q][0] = sums[q][1] = 0;
  for (uint32_t chunk = 0; chunk < args.word_count / Kind::kChunk; ++chunk) {
    uint32_t low[Kind::kChunk];
    uint32_t high[Kind::kChunk];
    Kind::Load(args.codes, code_block, chunk, lane, low);
    Kind::Load(args.codes, code_block, chunk, lane + kWarp, high);
    MRL_GPU_UNROLL
    for (uint32_t q = 0; q < kTile; ++q) {
      const uint32_t first = q * args.word_count + chunk * Kind::kChunk;
      const auto* query = reinterpret_cast<const FourWords*>(words + first);
      for (uint32_t i = 0; i < Kind::kChunk; i += 4) {
        const FourWords four = query[i / 4];
        MRL_GPU_UNROLL
        for (uint32_t j = 0; j < 4; ++j) {
          sums[q][0] = Dot4(low[i + j], four.words[j], sums[q][0]);
          sums[q][1] = Dot4(high[i + j], four.words[j], sums[q][1]);
        }
      }
    }
  }
}

template <typename Kind, uint32_t kTile, typename Block>
MRL_GPU_CODE void ScanLane(Block& block, const ScanArgs& args, const ScanShared<kTile>& shared,
                           const uint32_t* words, uint32_t code_block, uint32_t lane) {
  const uint64_t mask = RowMask(args, code_block);
  if (mask == 0) return;
  int32_t sums[kTile][2];
  SumLane<Kind, kTile>(args, words, code_block, lane, sums);
  const uint32_t begin = TileBegin<kTile>(block);
  const uint32_t first = code_block * kCodeRows + lane;
  const bool here[2] = {(mask >> lane & 1) != 0, (mask >> (lane + kWarp) & 1) != 0};
  // Once for all queries: after an Append the compiler would have to read them again.
  const auto terms = Kind::TermsOf(args.codes, code_block);
  const float bias[2] = {here[0] ? Kind::BiasOf(args.codes, first) : 0.0F,
                         here[1] ? Kind::BiasOf(args.codes, first + kWarp) : 0.0F};
  MRL_GPU_UNROLL
  for (uint32_t q = 0; q < kTile; ++q) {
    if (begin + q >= args.query_count) return;
    const CodeQuery query = shared.queries[q];
    const float floor = shared.floors[q];
    MRL_GPU_UNROLL
    for (uint32_t half = 0; half < 2; ++half) {
      const float key = Kind::Key(terms, query, bias[half], sums[q][half]);
      if (!here[half] || !(key >= floor)) continue;
      const Entry entry = EntryOf(key, first + half * kWarp);
      if (entry >= shared.thresholds[q]) Append(block, args.out, begin + q, entry);
    }
  }
}

// `words` has room for kTile * word_count words and lies in shared memory, at a multiple of 16
// bytes. x of the grid cuts the code blocks, y the queries.
template <typename Kind, uint32_t kTile, typename Block>
MRL_GPU_CODE void Scan(Block& block, const ScanArgs& args, ScanShared<kTile>& shared,
                       uint32_t* words) {
  LoadTile<Kind>(block, args, shared, words);
  constexpr uint32_t kWarps = kThreads / kWarp;
  block.Each([&](uint32_t thread) {
    for (uint32_t i = block.x() * kWarps + thread / kWarp; i < args.block_count;
         i += block.x_count() * kWarps) {
      const uint32_t code_block = args.block_first + i * args.block_step;
      ScanLane<Kind>(block, args, shared, words, code_block, thread % kWarp);
    }
  });
}

// The tile that a scan of `word_count` words, kTileWordsMax at most, uses for `query_count`
// queries: 32 KB of words, so that two blocks of threads find room on a multiprocessor; on one with
// 64 KB of shared memory (compute capability 7.5) the widest tile leaves room for one.
inline constexpr uint32_t kTileMax = 16;
inline constexpr uint32_t kTileWordsMax = 8192;
inline uint32_t TileFor(uint32_t word_count, uint32_t query_count) {
  if (query_count == 1 || 4 * word_count > kTileWordsMax) return 1;
  if (query_count <= 4 || kTileMax * word_count > kTileWordsMax) return 4;
  return kTileMax;
}

}  // namespace mrl::coarse::gpu
