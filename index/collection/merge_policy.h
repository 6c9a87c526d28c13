// Which segments are worth merging. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace mrl::collection {

struct SegmentSize {
  uint32_t number = 0;
  uint64_t rows = 0;
  uint64_t live_rows = 0;
  uint64_t first_sequence = 0;
  uint64_t end_sequence = 0;
};

// Numbers of adjacent segments that one should be made of; empty when all is well. `segments` are
// in order of sequences.
//
// A segment with as many deleted rows as live ones is written anew, alone. Otherwise the cheapest
// run of `fan_in` segments is merged of which none is larger than twice the others together: then
// every row is rewritten a number of times that grows with the logarithm of the collection's size.
// No merge gives more than `rows_max` rows.
std::vector<uint32_t> ChooseMerge(absl::Span<const SegmentSize> segments, size_t fan_in,
                                  uint64_t rows_max);

// Groups of adjacent segments, in order, that make the collection as few segments as can be: each
// of two segments or more, or of one with deleted rows, and of no more than `rows_max` live rows.
std::vector<std::vector<uint32_t>> ChooseAll(absl::Span<const SegmentSize> segments,
                                             uint64_t rows_max);

}  // namespace mrl::collection
