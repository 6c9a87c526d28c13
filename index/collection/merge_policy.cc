#include "index/collection/merge_policy.h"

#include <algorithm>
#include <utility>

namespace mrl::collection {
namespace {

constexpr uint64_t kSequenceSpanMax = uint64_t{1} << 32;  // a file keeps them as u32

}  // namespace

std::vector<uint32_t> ChooseMerge(absl::Span<const SegmentSize> segments, size_t fan_in,
                                  uint64_t rows_max) {
  for (const SegmentSize& segment : segments) {
    if (2 * segment.live_rows <= segment.rows) return {segment.number};
  }
  std::vector<uint32_t> chosen;
  uint64_t cheapest = rows_max + 1;
  for (size_t begin = 0; begin + fan_in <= segments.size(); ++begin) {
    const auto run = segments.subspan(begin, fan_in);
    uint64_t total = 0;
    uint64_t largest = 0;
    for (const SegmentSize& segment : run) {
      total += segment.live_rows;
      largest = std::max(largest, segment.live_rows);
    }
    const bool alike = largest <= 2 * (total - largest);
    const bool spans = run.back().end_sequence - run.front().first_sequence <= kSequenceSpanMax;
    if (!alike || !spans || total >= cheapest) continue;
    cheapest = total;
    chosen.clear();
    for (const SegmentSize& segment : run) chosen.push_back(segment.number);
  }
  return chosen;
}

std::vector<std::vector<uint32_t>> ChooseAll(absl::Span<const SegmentSize> segments,
                                             uint64_t rows_max) {
  std::vector<std::vector<uint32_t>> groups;
  size_t begin = 0;
  while (begin < segments.size()) {
    size_t end = begin;
    uint64_t live = 0;
    bool hollow = false;
    std::vector<uint32_t> group;
    while (end < segments.size()) {
      const SegmentSize& segment = segments[end];
      const uint64_t span = segment.end_sequence - segments[begin].first_sequence;
      const bool fits = live + segment.live_rows <= rows_max && span <= kSequenceSpanMax;
      if (!group.empty() && !fits) break;
      live += segment.live_rows;
      hollow = hollow || segment.live_rows < segment.rows;
      group.push_back(segment.number);
      ++end;
    }
    if (group.size() > 1 || hollow) groups.push_back(std::move(group));
    begin = end;
  }
  return groups;
}

}  // namespace mrl::collection
