// Scores of a small in-memory sample at every step of a ladder, in float32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "index/schema/schema.h"

namespace mrl::tune {

// Row-major floats that somebody else owns.
struct Matrix {
  const float* values = nullptr;
  size_t rows = 0;
  uint32_t dim = 0;
  const float* row(size_t i) const { return values + i * dim; }
};

inline constexpr size_t kNoRow = ~size_t{0};

// Thread-safe: constant. Outlived by the matrix.
class PrefixScorer {
 public:
  // `ladder` ends at documents.dim.
  PrefixScorer(Matrix documents, std::vector<uint32_t> ladder, Metric metric);

  const std::vector<uint32_t>& ladder() const { return ladder_; }
  size_t rows() const { return documents_.rows; }
  // Keys (larger is nearer) of all rows at every level: level l at [l * rows, (l + 1) * rows). The
  // norm of the query is left out, which changes no order.
  std::vector<float> Keys(const float* query) const;
  // The sum of all rows' dots up to `level`: the plain scan, for timing.
  float ScanSum(const float* query, size_t level) const;
  // Of the prefix at `level` of a row.
  float Norm(size_t row, size_t level) const { return norms_[level * documents_.rows + row]; }

 private:
  const Matrix documents_;
  const std::vector<uint32_t> ladder_;
  const Metric metric_;
  std::vector<float> norms_;
};

// The `count` rows of the largest keys, best first, without the row `left_out`.
std::vector<uint32_t> TopRows(absl::Span<const float> keys, size_t count, size_t left_out);
// How many rows other than `left_out` have a larger key than each of `rows`.
std::vector<uint32_t> RanksOf(absl::Span<const float> keys, absl::Span<const uint32_t> rows,
                              size_t left_out);
// Kendall's tau-a between `order` (best first) and the keys of its rows; 1 for fewer than two.
double KendallTau(absl::Span<const uint32_t> order, absl::Span<const float> keys);

}  // namespace mrl::tune
