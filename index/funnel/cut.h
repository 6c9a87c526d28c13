// The cut at the end of a stage.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "absl/types/span.h"
#include "index/funnel/stages.h"

namespace mrl::funnel {

// The key of rank `rank` (1-based, the largest first) of `keys`, which are not NaN and at least so
// many.
float KeyOfRank(absl::Span<const float> keys, size_t rank);

// Keeps the first `keep` by `before`, which sorts by falling keys first, in no order. Returns the
// last key kept (0 of none).
template <typename Before>
float CutTo(std::vector<Shortlisted>& candidates, size_t keep, const Before& before) {
  if (candidates.empty()) return 0;
  std::vector<float> keys;
  keys.reserve(candidates.size());
  for (const Shortlisted& candidate : candidates) keys.push_back(candidate.key);
  if (candidates.size() <= keep) return *std::min_element(keys.begin(), keys.end());
  const float last = KeyOfRank(keys, keep);
  // Those that tie with the last go behind the others; only they need the whole order.
  const auto ties = std::partition(candidates.begin(), candidates.end(),
                                   [last](const Shortlisted& one) { return one.key > last; });
  const auto end = std::partition(ties, candidates.end(),
                                  [last](const Shortlisted& one) { return one.key == last; });
  const auto kept = candidates.begin() + static_cast<ptrdiff_t>(keep);
  if (kept < end) std::nth_element(ties, kept, end, before);
  candidates.resize(keep);
  return last;
}

}  // namespace mrl::funnel
