// A scan of codes for a tile of queries, whatever the codes: thresholds guessed from a sample of
// blocks, one pass over all blocks, and a second one for queries whose guess was too high. Idle
// threads may take a share of a pass's blocks each; what is found is the same.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "base/check.h"
#include "base/parallel.h"
#include "index/coarse/scan_codes.h"
#include "index/kernels/kernels.h"

namespace mrl::coarse {

// Puts the first `more` of `later` behind the first `count` of `own`.
template <typename T>
void JoinFirst(std::vector<T>& own, size_t count, const std::vector<T>& later, size_t more) {
  own.resize(count);
  own.insert(own.end(), later.begin(), later.begin() + static_cast<ptrdiff_t>(more));
}

// `List` holds one query's survivors, and is copied while it is empty:
//   Query, Threshold     what the kernel takes, and kNoThreshold, which lets every row through
//   Offer(), Accept(q)   the kernel's query with room for a block, and what came back
//   Restart(threshold)   empty, with this threshold; it may rise while survivors come in
//   Absorb(list)         those of a scan of later blocks, after its own
//   ThresholdOfRank(n)   one that n of the survivors reach; kNoThreshold where there are fewer
//   SampleBlocks(keep, blocks)   so many are spread over the array, to guess a threshold from
//   IsComplete(seed)     whether a scan that began with this threshold has lost nothing
//   keep(), stopped()
// `Kernel(begin, end, queries, count)` scans blocks [begin, end) and returns where it stopped; by
// several threads at once.
template <typename List, typename Kernel>
class TileScan {
 public:
  TileScan(std::vector<List>& lists, size_t blocks, const Kernel& kernel)
      : lists_(lists), blocks_(blocks), kernel_(kernel) {
    CHECK(!lists.empty() && lists.size() <= kernels::kTileMax);
  }

  // Leaves in each list that was not stopped what it needs to answer from. `block_bytes`: what a
  // block's codes take. `helpers`: may be null.
  void Run(size_t block_bytes, Parallel* helpers) {
    const size_t pieces = PiecesOf(uint64_t{blocks_} * block_bytes, helpers);
    others_.reserve(pieces - 1);
    while (others_.size() + 1 < pieces) others_.push_back(lists_);
    std::vector<size_t> numbers(lists_.size());
    std::iota(numbers.begin(), numbers.end(), size_t{0});
    std::vector<typename List::Threshold> thresholds = Seeds();
    Pass(numbers, thresholds, helpers);
    std::erase_if(numbers, [&](size_t i) { return lists_[i].IsComplete(thresholds[i]); });
    if (numbers.empty()) return;
    thresholds.assign(lists_.size(), List::kNoThreshold);
    Pass(numbers, thresholds, helpers);
  }

 private:
  using Active = std::vector<List*>;  // lists that a scan serves
  static constexpr size_t kBlocksBetweenPolls = 1024;
  static constexpr size_t kStrideMin = 4;  // below, a scan without thresholds is as quick

  void Scan(size_t begin, size_t end, const Active& active) const {
    typename List::Query queries[kernels::kTileMax];
    while (begin < end && !active.empty()) {
      for (size_t q = 0; q < active.size(); ++q) queries[q] = active[q]->Offer();
      begin = kernel_(begin, end, queries, active.size());
      for (size_t q = 0; q < active.size(); ++q) active[q]->Accept(queries[q]);
    }
  }

  void ScanPiece(size_t begin, size_t end, Active active) const {
    for (; begin < end && !active.empty(); begin += kBlocksBetweenPolls) {
      std::erase_if(active, [](const List* list) { return list->stopped(); });
      Scan(begin, std::min(end, begin + kBlocksBetweenPolls), active);
    }
  }

  // All blocks for the lists of these numbers, from these thresholds on.
  void Pass(absl::Span<const size_t> numbers,
            const std::vector<typename List::Threshold>& thresholds, Parallel* helpers) {
    const size_t pieces = 1 + others_.size();
    RunPieces(pieces, helpers, [&](size_t piece) {
      std::vector<List>& lists = piece == 0 ? lists_ : others_[piece - 1];
      Active active;
      for (const size_t i : numbers) {
        lists[i].Restart(thresholds[i]);
        active.push_back(&lists[i]);
      }
      ScanPiece(blocks_ * piece / pieces, blocks_ * (piece + 1) / pieces, std::move(active));
    });
    for (const std::vector<List>& other : others_) {
      for (const size_t i : numbers) lists_[i].Absorb(other[i]);
    }
  }

  // For each list a threshold that should let somewhat more than `keep` rows through: four standard
  // deviations more, were the rows in random order.
  std::vector<typename List::Threshold> Seeds() {
    std::vector<typename List::Threshold> seeds(lists_.size(), List::kNoThreshold);
    size_t keep = 0;
    for (const List& list : lists_) keep = std::max(keep, list.keep());
    const size_t stride = blocks_ / List::SampleBlocks(keep, blocks_);
    if (stride < kStrideMin) return seeds;
    Active active;
    for (List& list : lists_) {
      list.Restart(List::kNoThreshold);
      active.push_back(&list);
    }
    for (size_t block = stride / 2; block < blocks_; block += stride) {
      Scan(block, block + 1, active);
    }
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
  std::vector<std::vector<List>> others_;  // as lists_, of the pieces after the first
};

}  // namespace mrl::coarse
