// A scan of some blocks of an array of codes for one query: the lists of a partition, nearest
// first.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"

namespace mrl::coarse {

// Blocks [begin, end).
struct BlockRange {
  uint32_t begin = 0;
  uint32_t end = 0;
};

// `List` as TileScan (tile_scan.h) has it, with Cut() and count(). `scan(begin, end, &query)` scans
// blocks and returns where it stopped. `prefetch(block)` asks for the first bytes of a block: lists
// lie apart, and the processor's own prefetch sees each of them too late. False when the list was
// stopped.
template <typename List, typename Scan, typename Prefetch>
bool ScanRanges(List& list, absl::Span<const BlockRange> ranges, const Scan& scan,
                const Prefetch& prefetch) {
  constexpr size_t kRangesBetweenPolls = 64;
  constexpr size_t kPrefetchBlocks = 4;
  list.Restart(List::kNoThreshold);
  size_t cut_at = 4 * list.keep();
  for (size_t i = 0; i < ranges.size(); ++i) {
    if (i % kRangesBetweenPolls == 0 && list.stopped()) return false;
    if (i + 1 < ranges.size()) {
      const BlockRange& next = ranges[i + 1];
      const uint32_t end = std::min<uint32_t>(next.end, next.begin + kPrefetchBlocks);
      for (uint32_t block = next.begin; block < end; ++block) prefetch(block);
    }
    for (size_t block = ranges[i].begin; block < ranges[i].end;) {
      typename List::Query query = list.Offer();
      block = scan(block, ranges[i].end, &query);
      list.Accept(query);
    }
    // The nearest lists hold most of the answer: the threshold that they give spares the rest.
    if (list.count() < cut_at) continue;
    list.Cut();
    cut_at = std::max(cut_at, 2 * list.count());
  }
  return !list.stopped();
}

}  // namespace mrl::coarse
