// One walk over a graph: best first, from the rows that scored highest, until none of the best has
// links left that nobody followed.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/types/span.h"
#include "index/coarse/bit_codes.h"
#include "index/coarse/graph.h"

namespace mrl::coarse {

// A set of rows: a bitmap over all. Clearing one bit a row costs a walk of a million rows about as
// much as scoring two thousand; a hash table of what is met cost five times that in wrong guesses.
class RowSet {
 public:
  explicit RowSet(uint32_t rows) : words_(rows / 64 + 1) {}

  // False where it is in already.
  bool Insert(uint32_t row) {
    uint64_t& word = words_[row / 64];
    const uint64_t bit = uint64_t{1} << (row % 64);
    const bool is_new = (word & bit) == 0;
    word |= bit;
    return is_new;
  }

 private:
  std::vector<uint64_t> words_;
};

// The best rows that a walk met, best first, equal scores by row; each of the first of them is to
// be walked on from once.
class Frontier {
 public:
  // Holds `size_max` rows, of which the first `walked_max` are walked on from.
  Frontier(size_t size_max, size_t walked_max) : size_max_(size_max), walked_max_(walked_max) {
    entries_.reserve(size_max + 1);
  }

  // Keeps the row if it is among the best.
  void Offer(uint16_t score, uint32_t row) {
    const uint64_t entry = (uint64_t{score} << kScoreShift) | (uint64_t{~row} << 1);
    if (entries_.size() < size_max_ || entry > entries_.back()) Keep(entry);
  }
  // The best row that was not taken yet; kNoRow where all were.
  uint32_t TakeNext();
  // What TakeNext would give.
  uint32_t PeekNext();

  size_t size() const { return entries_.size(); }
  uint16_t score(size_t i) const { return static_cast<uint16_t>(entries_[i] >> kScoreShift); }
  uint32_t row(size_t i) const { return ~static_cast<uint32_t>(entries_[i] >> 1); }

 private:
  // An entry is a number that falls: the score, the row's complement, and one bit that says that
  // the row was taken.
  static constexpr int kScoreShift = 33;
  static constexpr uint64_t kTaken = 1;

  void Keep(uint64_t entry);

  const size_t size_max_;
  const size_t walked_max_;
  std::vector<uint64_t> entries_;
  size_t next_ = 0;  // all before it were taken
};

class GraphWalk {
 public:
  // What met a score, for every row once.
  using Met = std::function<void(absl::Span<const uint32_t> rows, const uint16_t* scores)>;

  // All outlive the walk. Walks on from `ef_search` rows and holds the best `keep`, or `ef_search`
  // if they are more. `met` may be empty.
  GraphWalk(const GraphLinks& links, const GraphCodes& codes, const QuantisedBits& query,
            uint32_t rows, size_t ef_search, size_t keep, Met met);

  // False when `stopped`.
  bool Run(const std::function<bool()>& stopped);
  // Sets out from `row` alone, for rows near it.
  void RunFrom(uint32_t row);

  const Frontier& frontier() const { return frontier_; }
  uint64_t rows_met() const { return rows_met_; }
  uint64_t bytes_touched() const;

 private:
  void Begin();
  bool Walk(const std::function<bool()>& stopped);
  void Follow(uint32_t row);
  // Scores the first `count` rows of the batch, which were not met before.
  void Meet(size_t count);

  const GraphLinks& links_;
  const GraphCodes& codes_;
  const QuantisedBits& query_;
  const size_t row_words_;
  const uint32_t rows_;
  const Met met_;
  RowSet met_set_;
  uint64_t rows_met_ = 0;
  Frontier frontier_;
  uint64_t followed_ = 0;
  std::vector<uint32_t> batch_;  // with room for one row more
  std::vector<uint16_t> scores_;
};

}  // namespace mrl::coarse
