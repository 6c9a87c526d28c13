// The best rows seen so far, without an order among equals.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace mrl::coarse {

struct KeyedRow {
  float key = 0;  // larger is nearer
  uint32_t row = 0;
};

// Keeps every offered row whose key reaches the `keep`-th largest key: at least `keep` rows once so
// many were offered, and more where keys tie, so that the caller cuts ties by its own rule.
// A reservoir that is cut with nth_element when it is full, which beats a heap.
class Shortlist {
 public:
  explicit Shortlist(size_t keep);

  void Offer(float key, uint32_t row) {
    if (!(key >= threshold_)) return;
    rows_.push_back({key, row});
    if (rows_.size() >= cut_at_) Cut();
  }
  // What a key has to reach.
  float threshold() const { return threshold_; }
  // All rows at or above the cut, in the order they were offered or not. Ends the use of the list.
  std::vector<KeyedRow> Take();

 private:
  void Cut();

  const size_t keep_;
  size_t cut_at_;
  float threshold_;
  std::vector<KeyedRow> rows_;
};

// The order of results: keys fall, equal keys by row.
inline bool IsBefore(const KeyedRow& a, const KeyedRow& b) {
  return a.key != b.key ? a.key > b.key : a.row < b.row;
}

// Cuts to the best `keep` of that order; in no order.
void CutByKeyThenRow(std::vector<KeyedRow>& rows, size_t keep);

}  // namespace mrl::coarse
