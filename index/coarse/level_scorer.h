// Scores of stored vectors at ladder prefixes, from the stored precision.
//
// A key is a score turned so that larger is nearer (L2: the negated distance; negation is exact).
// Every path of the project gets a row's key from here: the sum over levels runs from left to
// right, so that scans, rescoring and stages at growing prefixes agree to the last bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "index/kernels/kernels.h"
#include "index/store/segment.h"

namespace mrl::coarse {

// Thread-safe: constant. Outlived by the segment and the query.
class LevelScorer {
 public:
  // `query`: transformed, not normalised, at least the prefix of `last_level`.
  LevelScorer(const store::Segment& segment, const float* query, size_t last_level);

  // What level `level` alone adds to the sum of `row`: a dot product, or a squared distance.
  float LevelSum(uint32_t row, size_t level) const;
  // Adds the same of each of `rows` for each of any number of scorers of one segment, bit for bit,
  // to sums[i * scorers.size() + j] of rows[i] and scorers[j].
  static void AddLevelSums(absl::Span<const LevelScorer* const> scorers,
                           absl::Span<const uint32_t> rows, size_t level, float* sums);
  // Adds levels [from, to] to `sum`, one after the other.
  float Extend(uint32_t row, size_t from, size_t to, float sum) const;
  // The key of a row whose sum over levels 0 to `level` is `sum`: their product, from left to
  // right.
  float Key(uint32_t row, size_t level, float sum) const {
    return sum * RowFactor(row, level) * QueryFactor(level);
  }
  float RowFactor(uint32_t row, size_t level) const {
    return metric_ == Metric::kCosine ? segment_.InverseNorms(row)[level] : 1;
  }
  float QueryFactor(size_t level) const { return levels_[level].query_factor; }
  float Key(uint32_t row, size_t level) const { return Key(row, level, Extend(row, 0, level, 0)); }
  // Asks the cache for the first bytes of levels [from, to] of a row that is scored soon.
  void Prefetch(uint32_t row, size_t from, size_t to) const;

  // Bytes of one row at levels [from, to].
  uint64_t RowBytes(size_t from, size_t to) const;

 private:
  struct Level {
    const std::byte* data;
    const float* query;
    size_t width;
    size_t row_bytes;
    float query_factor;  // COSINE: the inverse norm of the prefix up to this level; L2: -1
  };
  const store::Segment& segment_;
  const kernels::Table& table_;
  const Metric metric_;
  const StorageType storage_;
  std::vector<Level> levels_;
};

// The score of a key, and back.
inline float ScoreOfKey(Metric metric, float key) { return metric == Metric::kL2 ? 0 - key : key; }

}  // namespace mrl::coarse
