#include "index/coarse/shortlist.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace mrl::coarse {
namespace {

constexpr size_t kRoomMin = 1024;

bool Nearer(const KeyedRow& a, const KeyedRow& b) { return a.key > b.key; }

}  // namespace

Shortlist::Shortlist(size_t keep)
    : keep_(keep),
      cut_at_(std::max(kRoomMin, 4 * keep)),
      threshold_(-std::numeric_limits<float>::infinity()) {}

void Shortlist::Cut() {
  if (rows_.size() <= keep_) return;
  std::nth_element(rows_.begin(), rows_.begin() + (keep_ - 1), rows_.end(), Nearer);
  threshold_ = rows_[keep_ - 1].key;
  std::erase_if(rows_, [this](const KeyedRow& row) { return row.key < threshold_; });
  // Rows that tie with the cut stay; without more room each further tie would cut again.
  cut_at_ = std::max(cut_at_, 2 * rows_.size());
}

std::vector<KeyedRow> Shortlist::Take() {
  Cut();
  return std::move(rows_);
}

void CutByKeyThenRow(std::vector<KeyedRow>& rows, size_t keep) {
  if (rows.size() <= keep) return;
  std::nth_element(rows.begin(), rows.begin() + static_cast<ptrdiff_t>(keep), rows.end(), IsBefore);
  rows.resize(keep);
}

}  // namespace mrl::coarse
