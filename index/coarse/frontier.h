// The best rows that a walk over a graph has met.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/types/span.h"
#include "index/coarse/graph.h"

namespace mrl::coarse {

// Where a walk ends before its effort is spent: at a row that is more than 1 + gamma times as far
// away as the k-th best. (Al-Jazzazi et al., "Distance Adaptive Beam Search for Provably Accurate
// Graph-Based Nearest Neighbor Search", 2025.) As far is 1 - cosine, which grows as scores fall.
struct Reach {
  size_t k = 1;
  double gamma = std::numeric_limits<double>::infinity();  // 0 or more; infinite: it does not end
  double nearest = 0;                                      // the score of a cosine of 1
};

// Holds the best rows by score; each of the first of them is to be walked on from once, the best
// first. Scores are whole numbers of a small range: rows wait in a stack for each score, and what
// is held and walked on from is told by counts, so that a row costs the same however many are held.
class Frontier {
 public:
  // For scores of 0 to `score_max`. Holds the best `held`, equal scores by row, and walks on from
  // the best `walked`, at most `held`. Of equal scores a row goes before the next one if it is the
  // earlier of the two, and right behind it if not: the first of equal rows, which alone leads on
  // to others (graph_equal.h), waits for none of them.
  Frontier(int score_max, size_t held, size_t walked, const Reach& reach = {});

  // Keeps those of the rows that are among the best.
  void Offer(absl::Span<const uint32_t> rows, const uint16_t* scores);
  // The best row that was not taken yet; kNoRow where all were.
  uint32_t TakeNext();
  // What TakeNext would give.
  uint32_t PeekNext();

  // A row with its score, larger for nearer and, of equal scores, for earlier rows.
  struct Entry {
    uint64_t value;
    uint16_t score() const { return static_cast<uint16_t>(value >> 32); }
    uint32_t row() const { return ~static_cast<uint32_t>(value); }
  };
  // The best `most`, at most `held`, in no order. Ends the use of the frontier.
  std::vector<Entry> Take(size_t most);

 private:
  static constexpr uint32_t kNone = ~uint32_t{0};

  struct Stack {
    uint32_t top = kNone;  // the entry that is taken next
    uint32_t rows = 0;     // with this score, taken or not
    uint32_t taken = 0;
  };
  // The rows of the best scores, of which there are at least `most` where so many came.
  struct Best {
    size_t most;
    size_t rows = 0;
    size_t from = 0;  // the least score

    void Add(size_t score, const std::vector<Stack>& stacks);
  };

  bool IsTooFar(size_t score) const;

  std::vector<Stack> stacks_;  // by score
  std::vector<Entry> entries_;
  std::vector<uint32_t> below_;  // of each entry: what its stack has below it
  Best held_;
  Best walked_;
  Best near_;  // the best k
  const Reach reach_;
  size_t next_ = 0;  // no score above has a row that was not taken
};

}  // namespace mrl::coarse
