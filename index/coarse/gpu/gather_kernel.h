// A later stage: the survivors' rows are gathered, and their keys at a longer prefix or a finer
// code replace the old ones.
//
// Eight lanes serve one row: with 4-byte values they read a sector of 32 bytes at a time. Lane j
// adds up values j, j + 8, …, and the eight sums meet in the order of the scalar set of
// index/kernels, level by level from the left, so a key has that set's bits.
#pragma once

#include "index/coarse/gpu/block.h"
#include "index/coarse/gpu/scan_kernel.h"
#include "index/kernels/kernels.h"

namespace mrl::coarse::gpu {

inline constexpr uint32_t kRowLanes = 8;
inline constexpr uint32_t kRowsAtOnce = kThreads / kRowLanes;
// Levels whose sums lie in shared memory at a time.
inline constexpr uint32_t kLevelsAtOnce = 8;

// How sums become keys (mrl::Metric, without its header).
enum class KeyRule : uint32_t { kCosine = 0, kDot = 1, kDistance = 2 };

// Where a level of a segment lies: device memory, or pinned memory of the host that the device
// reads through the bus.
struct DeviceLevel {
  const void* data = nullptr;
  uint32_t begin = 0;  // first dimension
  uint32_t width = 0;
};

struct StoredArgs {
  EntryLists lists = {};  // keys are replaced where they lie
  uint32_t query_count = 0;
  const DeviceLevel* levels = nullptr;
  uint32_t last_level = 0;
  uint32_t half = 0;  // 1 = IEEE half, 0 = float
  KeyRule rule = KeyRule::kDot;
  const float* inverse_norms = nullptr;  // kCosine: [rows][level_count]
  uint32_t level_count = 0;
  const float* queries = nullptr;              // [query_count][query_step]
  const float* inverse_query_norms = nullptr;  // kCosine: [query_count][level_count]
  uint32_t query_step = 0;
};

struct GatherShared {
  float sums[kLevelsAtOnce][kThreads];
  float totals[kRowsAtOnce];
  int32_t counts[kThreads];
};

// What lane `lane` adds of one level of a row.
MRL_GPU_CODE float LaneSum(const StoredArgs& args, const DeviceLevel& level, const float* query,
                           uint32_t row, uint32_t lane) {
  const size_t first = size_t{row} * level.width;
  float sum = 0;
  for (uint32_t i = lane; i < level.width; i += kRowLanes) {
    const float x = args.half != 0
                        ? HalfToFloat(static_cast<const uint16_t*>(level.data)[first + i])
                        : static_cast<const float*>(level.data)[first + i];
    const float q = query[level.begin + i];
    if (args.rule == KeyRule::kDistance) {
      const float off = Plus(q, -x);
      sum = Plus(sum, Multiply(off, off));
    } else {
      sum = Plus(sum, Multiply(q, x));
    }
  }
  return sum;
}

// The eight sums of a row in the scalar set's order.
MRL_GPU_CODE float SumOfLanes(const float* s) {
  return Plus(Plus(Plus(s[0], s[4]), Plus(s[2], s[6])), Plus(Plus(s[1], s[5]), Plus(s[3], s[7])));
}

MRL_GPU_CODE float KeyOfSum(const StoredArgs& args, uint32_t query, uint32_t row, float sum) {
  if (args.rule == KeyRule::kDot) return sum;
  if (args.rule == KeyRule::kDistance) return -sum;
  const float row_norm = args.inverse_norms[size_t{row} * args.level_count + args.last_level];
  const float query_norm =
      args.inverse_query_norms[size_t{query} * args.level_count + args.last_level];
  return Multiply(Multiply(sum, row_norm), query_norm);
}

// The entries [first, first + kRowsAtOnce) of one list.
template <typename Block>
MRL_GPU_CODE void GatherStoredRows(Block& block, const StoredArgs& args, GatherShared& shared,
                                   Entry* entries, uint32_t count, uint32_t first) {
  const uint32_t query = block.y();
  const float* values = args.queries + size_t{query} * args.query_step;
  for (uint32_t begin = 0; begin <= args.last_level; begin += kLevelsAtOnce) {
    const uint32_t end = Smaller(begin + kLevelsAtOnce, args.last_level + 1);
    block.Each([&](uint32_t thread) {
      const uint32_t i = first + thread / kRowLanes;
      if (i >= count) return;
      const uint32_t row = RowOf(entries[i]);
      for (uint32_t level = begin; level < end; ++level) {
        shared.sums[level - begin][thread] =
            LaneSum(args, args.levels[level], values, row, thread % kRowLanes);
      }
    });
    block.Each([&](uint32_t thread) {
      const uint32_t i = first + thread / kRowLanes;
      if (i >= count || thread % kRowLanes != 0) return;
      float& total = shared.totals[thread / kRowLanes];
      if (begin == 0) total = 0;
      for (uint32_t level = begin; level < end; ++level) {
        total = Plus(total, SumOfLanes(&shared.sums[level - begin][thread]));
      }
      if (end <= args.last_level) return;
      const uint32_t row = RowOf(entries[i]);
      entries[i] = EntryOf(KeyOfSum(args, query, row, total), row);
    });
  }
}

// x of the grid cuts a list, y is the query.
template <typename Block>
MRL_GPU_CODE void GatherStored(Block& block, const StoredArgs& args, GatherShared& shared) {
  const uint32_t query = block.y();
  const uint32_t count = Smaller(args.lists.counts[query], args.lists.capacity);
  Entry* entries = args.lists.entries + size_t{query} * args.lists.capacity;
  for (uint32_t first = block.x() * kRowsAtOnce; first < count;
       first += block.x_count() * kRowsAtOnce) {
    GatherStoredRows(block, args, shared, entries, count, first);
  }
}

// A stage on codes. 8 bits: `queries` and `query_words` as a scan takes them. Else `planes`: plane
// p of query q begins at (q * kBitPlanes + p) * word_count, 32 bits to a word.
struct CodesArgs {
  EntryLists lists = {};
  Codes codes = {};
  const CodeQuery* queries = nullptr;
  const uint32_t* query_words = nullptr;
  const uint32_t* planes = nullptr;
  uint32_t word_count = 0;  // per query, or per plane
};

// What lane `lane` adds: of 8-bit codes its words, of others the magnitudes of the bits that agree
// with their weight's sign.
MRL_GPU_CODE int32_t LaneCount(const CodesArgs& args, uint32_t query, uint32_t row, uint32_t lane) {
  const uint32_t* code = args.codes.words +
                         size_t{row / kCodeRows} * args.codes.row_words * kCodeRows +
                         row % kCodeRows;
  int32_t sum = 0;
  if (args.planes == nullptr) {
    const uint32_t* words = args.query_words + size_t{query} * args.word_count;
    for (uint32_t w = lane; w < args.codes.row_words; w += kRowLanes) {
      sum = Dot4(code[size_t{w} * kCodeRows] ^ 0x80808080U, words[w], sum);
    }
    return sum;
  }
  const uint32_t* planes = args.planes + size_t{query} * kernels::kBitPlanes * args.word_count;
  for (uint32_t w = lane; w < args.word_count; w += kRowLanes) {
    const uint32_t agree = ~(code[size_t{w} * kCodeRows] ^ planes[w]);
    for (uint32_t p = 1; p < kernels::kBitPlanes; ++p) {
      sum += PopCount(agree & planes[size_t{p} * args.word_count + w]) << (p - 1);
    }
  }
  return sum;
}

template <typename Block>
MRL_GPU_CODE void GatherCodes(Block& block, const CodesArgs& args, GatherShared& shared) {
  const uint32_t query = block.y();
  const uint32_t count = Smaller(args.lists.counts[query], args.lists.capacity);
  Entry* entries = args.lists.entries + size_t{query} * args.lists.capacity;
  for (uint32_t first = block.x() * kRowsAtOnce; first < count;
       first += block.x_count() * kRowsAtOnce) {
    block.Each([&](uint32_t thread) {
      const uint32_t i = first + thread / kRowLanes;
      if (i >= count) return;
      shared.counts[thread] = LaneCount(args, query, RowOf(entries[i]), thread % kRowLanes);
    });
    block.Each([&](uint32_t thread) {
      const uint32_t i = first + thread / kRowLanes;
      if (i >= count || thread % kRowLanes != 0) return;
      int32_t sum = 0;
      for (uint32_t lane = 0; lane < kRowLanes; ++lane) sum += shared.counts[thread + lane];
      const uint32_t row = RowOf(entries[i]);
      const float key =
          args.planes != nullptr
              ? static_cast<float>(sum)
              : Int8Codes::Key(Int8Codes::TermsOf(args.codes, row / kCodeRows), args.queries[query],
                               Int8Codes::BiasOf(args.codes, row), sum);
      entries[i] = EntryOf(key, row);
    });
  }
}

}  // namespace mrl::coarse::gpu
