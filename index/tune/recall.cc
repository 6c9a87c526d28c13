#include "index/tune/recall.h"

#include <algorithm>
#include <cmath>

#include "absl/container/flat_hash_set.h"

namespace mrl::tune {
namespace {

constexpr double kTieTolerance = 1e-6;  // relative to the k-th true score

double Share(size_t hits, size_t k) {
  return k == 0 ? 0 : static_cast<double>(std::min(hits, k)) / static_cast<double>(k);
}

// Smallest q such that `quantile` of the values are at or below it; `sorted` is not empty.
double NearestRank(const std::vector<double>& sorted, double quantile) {
  const double rank = std::ceil(quantile * static_cast<double>(sorted.size()));
  return sorted[static_cast<size_t>(std::max(rank, 1.0)) - 1];
}

}  // namespace

double RecallAtK(absl::Span<const Scored> found, absl::Span<const Scored> truth, size_t k,
                 bool larger_is_nearer) {
  k = std::min(k, truth.size());
  if (k == 0) return 0;
  absl::flat_hash_set<uint64_t> wanted;
  for (const Scored& scored : truth.first(k)) wanted.insert(scored.row);
  const double last = truth[k - 1].score;
  const double slack = kTieTolerance * std::abs(last);
  size_t hits = 0;
  for (const Scored& scored : found.first(std::min(k, found.size()))) {
    const bool ties =
        larger_is_nearer ? scored.score >= last - slack : scored.score <= last + slack;
    if (ties || wanted.contains(scored.row)) ++hits;
  }
  return Share(hits, k);
}

double RecallAtK(absl::Span<const uint64_t> found, absl::Span<const int64_t> truth, size_t k) {
  k = std::min(k, truth.size());
  absl::flat_hash_set<uint64_t> wanted;
  for (const int64_t row : truth.first(k)) {
    if (row >= 0)
      wanted.insert(static_cast<uint64_t>(row));  // -1 marks "no neighbour" in truth files
  }
  size_t hits = 0;
  for (const uint64_t row : found.first(std::min(k, found.size()))) hits += wanted.erase(row);
  return Share(hits, k);
}

Latencies Summarise(std::vector<double>& millis) {
  if (millis.empty()) return {};
  std::sort(millis.begin(), millis.end());
  double sum = 0;
  for (const double value : millis) sum += value;
  return {.mean_ms = sum / static_cast<double>(millis.size()),
          .p50_ms = NearestRank(millis, 0.50),
          .p95_ms = NearestRank(millis, 0.95),
          .p99_ms = NearestRank(millis, 0.99)};
}

}  // namespace mrl::tune
