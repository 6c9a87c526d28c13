// One walk over a graph: best first, from the rows that scored highest, until none of the best has
// links left that nobody followed.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/types/span.h"
#include "index/coarse/bit_codes.h"
#include "index/coarse/frontier.h"
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

class GraphWalk {
 public:
  // What met a score, for every row once.
  using Met = std::function<void(absl::Span<const uint32_t> rows, const uint16_t* scores)>;

  // All outlive the walk. Walks on from `ef_search` rows within `reach` and holds the best `keep`,
  // or `ef_search` if they are more. `met` may be empty.
  GraphWalk(const GraphLinks& links, const GraphCodes& codes, const QuantisedBits& query,
            uint32_t rows, size_t ef_search, size_t keep, const Reach& reach, Met met);

  // False when `stopped`.
  bool Run(const std::function<bool()>& stopped);
  // Sets out from `row` alone, for rows near it.
  void RunFrom(uint32_t row);

  // The best `most` of those that are held, in no order. Ends the use of the walk.
  std::vector<Frontier::Entry> TakeBest(size_t most) { return frontier_.Take(most); }
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
