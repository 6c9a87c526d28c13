#include "index/coarse/frontier.h"

#include <algorithm>
#include <utility>

namespace mrl::coarse {

void Frontier::Best::Add(size_t score, const std::vector<Stack>& stacks) {
  if (score < from) return;
  ++rows;
  while (rows - stacks[from].rows >= most) rows -= stacks[from++].rows;
}

Frontier::Frontier(int score_max, size_t held, size_t walked, const Reach& reach)
    : stacks_(static_cast<size_t>(score_max) + 1),
      held_{.most = held},
      walked_{.most = walked},
      near_{.most = reach.k},
      reach_(reach) {
  entries_.reserve(2 * held);
  below_.reserve(2 * held);
}

void Frontier::Offer(absl::Span<const uint32_t> rows, const uint16_t* scores) {
  for (size_t i = 0; i < rows.size(); ++i) {
    const size_t score = scores[i];
    if (score < held_.from) continue;
    Stack& stack = stacks_[score];
    const bool waits = stack.top != kNone && entries_[stack.top].row() < rows[i];
    uint32_t& above = waits ? below_[stack.top] : stack.top;
    const uint32_t below = std::exchange(above, static_cast<uint32_t>(entries_.size()));
    below_.push_back(below);
    entries_.push_back({(uint64_t{score} << 32) | static_cast<uint32_t>(~rows[i])});
    ++stack.rows;
    held_.Add(score, stacks_);
    walked_.Add(score, stacks_);
    near_.Add(score, stacks_);
    next_ = std::max(next_, score);
  }
}

uint32_t Frontier::PeekNext() {
  for (; next_ >= walked_.from; --next_) {
    const Stack& stack = stacks_[next_];
    if (stack.top != kNone) {
      // Of those that tie with the last some are beyond what is walked on from.
      const bool is_last = next_ == walked_.from;
      if (is_last && walked_.rows - stack.rows + stack.taken >= walked_.most) break;
      if (IsTooFar(next_)) break;
      return entries_[stack.top].row();
    }
    if (next_ == 0) break;
  }
  return GraphLinks::kNoRow;
}

bool Frontier::IsTooFar(size_t score) const {
  if (near_.rows < near_.most) return false;
  const auto last = static_cast<double>(near_.from);
  const double away = std::max(reach_.nearest - last, 0.0);
  return static_cast<double>(score) < last - reach_.gamma * away;
}

uint32_t Frontier::TakeNext() {
  const uint32_t row = PeekNext();
  if (row != GraphLinks::kNoRow) {
    Stack& stack = stacks_[next_];
    stack.top = below_[stack.top];
    ++stack.taken;
  }
  return row;
}

std::vector<Frontier::Entry> Frontier::Take(size_t most) {
  std::erase_if(entries_, [this](const Entry& entry) { return entry.score() < held_.from; });
  most = std::min(most, held_.most);
  if (entries_.size() > most) {
    std::nth_element(entries_.begin(), entries_.begin() + static_cast<ptrdiff_t>(most),
                     entries_.end(),
                     [](const Entry& a, const Entry& b) { return a.value > b.value; });
    entries_.resize(most);
  }
  return std::move(entries_);
}

}  // namespace mrl::coarse
