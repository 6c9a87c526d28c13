#include "index/tune/prefix_scorer.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "index/kernels/kernels.h"

namespace mrl::tune {

PrefixScorer::PrefixScorer(Matrix documents, std::vector<uint32_t> ladder, Metric metric)
    : documents_(documents), ladder_(std::move(ladder)), metric_(metric) {
  CHECK(!ladder_.empty() && ladder_.back() == documents.dim);
  const kernels::Table& table = kernels::Active();
  norms_.resize(ladder_.size() * documents_.rows);
  for (size_t row = 0; row < documents_.rows; ++row) {
    float squares = 0;
    uint32_t begin = 0;
    for (size_t level = 0; level < ladder_.size(); ++level) {
      const float* values = documents_.row(row) + begin;
      squares += table.dot_f32(values, values, ladder_[level] - begin);
      norms_[level * documents_.rows + row] = std::sqrt(squares);
      begin = ladder_[level];
    }
  }
}

std::vector<float> PrefixScorer::Keys(const float* query) const {
  const kernels::Table& table = kernels::Active();
  const size_t rows = documents_.rows;
  std::vector<float> keys(ladder_.size() * rows);
  for (size_t row = 0; row < rows; ++row) {
    float sum = 0;
    uint32_t begin = 0;
    for (size_t level = 0; level < ladder_.size(); ++level) {
      const float* values = documents_.row(row) + begin;
      const size_t width = ladder_[level] - begin;
      sum += metric_ == Metric::kL2 ? -table.l2_f32(query + begin, values, width)
                                    : table.dot_f32(query + begin, values, width);
      const float norm = Norm(row, level);
      const bool scaled = metric_ == Metric::kCosine;
      keys[level * rows + row] = !scaled ? sum : norm == 0 ? 0 : sum / norm;
      begin = ladder_[level];
    }
  }
  return keys;
}

float PrefixScorer::ScanSum(const float* query, size_t level) const {
  const kernels::Table& table = kernels::Active();
  float sum = 0;
  for (size_t row = 0; row < documents_.rows; ++row) {
    sum += table.dot_f32(query, documents_.row(row), ladder_[level]);
  }
  return sum;
}

std::vector<uint32_t> TopRows(absl::Span<const float> keys, size_t count, size_t left_out) {
  std::vector<uint32_t> rows(keys.size());
  std::iota(rows.begin(), rows.end(), 0U);
  if (left_out < rows.size()) rows.erase(rows.begin() + static_cast<std::ptrdiff_t>(left_out));
  count = std::min(count, rows.size());
  std::partial_sort(
      rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(count), rows.end(),
      [keys](uint32_t a, uint32_t b) { return keys[a] != keys[b] ? keys[a] > keys[b] : a < b; });
  rows.resize(count);
  return rows;
}

std::vector<uint32_t> RanksOf(absl::Span<const float> keys, absl::Span<const uint32_t> rows,
                              size_t left_out) {
  std::vector<float> sorted;
  for (const uint32_t row : rows) sorted.push_back(keys[row]);
  std::sort(sorted.begin(), sorted.end());
  // above[i]: rows whose key is above exactly i of the sorted ones.
  std::vector<uint32_t> above(sorted.size() + 1);
  for (size_t row = 0; row < keys.size(); ++row) {
    if (row == left_out) continue;
    ++above[static_cast<size_t>(std::lower_bound(sorted.begin(), sorted.end(), keys[row]) -
                                sorted.begin())];
  }
  for (size_t i = above.size() - 1; i-- > 0;) above[i] += above[i + 1];
  std::vector<uint32_t> ranks;
  for (const uint32_t row : rows) {
    const auto place = std::upper_bound(sorted.begin(), sorted.end(), keys[row]) - sorted.begin();
    ranks.push_back(above[static_cast<size_t>(place)]);
  }
  return ranks;
}

double KendallTau(absl::Span<const uint32_t> order, absl::Span<const float> keys) {
  if (order.size() < 2) return 1;
  int64_t balance = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    for (size_t j = i + 1; j < order.size(); ++j) {
      const float better = keys[order[i]];
      const float worse = keys[order[j]];
      balance += better > worse ? 1 : better < worse ? -1 : 0;
    }
  }
  const double pairs = static_cast<double>(order.size() * (order.size() - 1)) / 2;
  return static_cast<double>(balance) / pairs;
}

}  // namespace mrl::tune
