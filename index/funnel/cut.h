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
  std::vector<float> keys(candidates.size());
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = candidates[i].key;
  if (keys.size() <= keep) return *std::min_element(keys.begin(), keys.end());
  const float last = KeyOfRank(keys, keep);
  std::vector<Shortlisted> ties;  // only those that tie with the last need the whole order
  size_t kept = 0;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (keys[i] < last) continue;
    if (keys[i] == last) {
      ties.push_back(candidates[i]);
    } else {
      candidates[kept++] = candidates[i];
    }
  }
  const auto wanted = static_cast<ptrdiff_t>(keep - kept);
  std::nth_element(ties.begin(), ties.begin() + wanted - 1, ties.end(), before);
  std::copy_n(ties.begin(), wanted, candidates.begin() + static_cast<ptrdiff_t>(kept));
  candidates.resize(keep);
  return last;
}

}  // namespace mrl::funnel
