// A scan of codes for a tile of queries, whatever the codes: thresholds guessed from a sample of
// blocks, one pass over all blocks, and a second one for queries whose guess was too high.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/check.h"
#include "index/coarse/scan_codes.h"
#include "index/kernels/kernels.h"

namespace mrl::coarse {

// Room for a list before it is first cut; holds all rows of a sample of up to 200 blocks.
inline constexpr size_t kSurvivorRoomMin = 16384;

// `List` holds one query's survivors:
//   Query, Threshold     what the kernel takes, and kNoThreshold, which lets every row through
//   Offer(), Accept(q)   the kernel's query with room for a block, and what came back
//   Restart(threshold)   empty, with this threshold; it may rise while survivors come in
//   ThresholdOfRank(n)   one that n of the survivors reach; kNoThreshold where there are fewer
//   kSampleBlocks        spread over the array, to guess a threshold from
//   IsComplete(seed)     whether a scan that began with this threshold has lost nothing
//   keep(), stopped()
// `Kernel(begin, end, queries, count)` scans blocks [begin, end) and returns where it stopped.
template <typename List, typename Kernel>
class TileScan {
 public:
  TileScan(std::vector<List>& lists, size_t blocks, const Kernel& kernel)
      : lists_(lists), blocks_(blocks), kernel_(kernel) {
    CHECK(!lists.empty() && lists.size() <= kernels::kTileMax);
  }

  // Leaves in each list that was not stopped what it needs to answer from.
  void Run() {
    for (List& list : lists_) active_.push_back(&list);
    const std::vector<typename List::Threshold> seeds = Seeds();
    for (size_t i = 0; i < lists_.size(); ++i) lists_[i].Restart(seeds[i]);
    ScanAll();
    active_.clear();
    for (size_t i = 0; i < lists_.size(); ++i) {
      if (lists_[i].IsComplete(seeds[i])) continue;
      lists_[i].Restart(List::kNoThreshold);
      active_.push_back(&lists_[i]);
    }
    ScanAll();
  }

 private:
  static constexpr size_t kBlocksBetweenPolls = 1024;
  static constexpr size_t kStrideMin = 4;  // below, a scan without thresholds is as quick

  void Scan(size_t begin, size_t end) {
    typename List::Query queries[kernels::kTileMax];
    while (begin < end && !active_.empty()) {
      for (size_t q = 0; q < active_.size(); ++q) queries[q] = active_[q]->Offer();
      begin = kernel_(begin, end, queries, active_.size());
      for (size_t q = 0; q < active_.size(); ++q) active_[q]->Accept(queries[q]);
    }
  }

  void ScanAll() {
    for (size_t begin = 0; begin < blocks_ && !active_.empty(); begin += kBlocksBetweenPolls) {
      std::erase_if(active_, [](const List* list) { return list->stopped(); });
      Scan(begin, std::min(blocks_, begin + kBlocksBetweenPolls));
    }
  }

  // For each list a threshold that should let somewhat more than `keep` rows through: four standard
  // deviations more, were the rows in random order.
  std::vector<typename List::Threshold> Seeds() {
    std::vector<typename List::Threshold> seeds(lists_.size(), List::kNoThreshold);
    const size_t stride = blocks_ / List::kSampleBlocks;
    if (stride < kStrideMin) return seeds;
    for (List& list : lists_) list.Restart(List::kNoThreshold);
    for (size_t block = stride / 2; block < blocks_; block += stride) Scan(block, block + 1);
    for (size_t i = 0; i < lists_.size(); ++i) {
      const double expected = static_cast<double>(lists_[i].keep()) / static_cast<double>(stride);
      const double rank = std::ceil(expected + 4 * std::sqrt(expected) + 4);
      seeds[i] = lists_[i].ThresholdOfRank(static_cast<size_t>(rank));
    }
    return seeds;
  }

  std::vector<List>& lists_;
  const size_t blocks_;
  const Kernel& kernel_;
  std::vector<List*> active_;  // that the next scan serves
};

}  // namespace mrl::coarse
