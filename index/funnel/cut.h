// The cut at the end of a stage.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "absl/types/span.h"
#include "index/funnel/stages.h"
#include "index/schema/schema.h"

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

// What Plan::slacks are counted in: inner products grow with the (transformed) query, so theirs is
// its norm; it is 1 of cosines, and of squared distances, where a longer query is another place.
double SlackUnit(Metric metric, absl::Span<const float> query);

// Leaves out the candidates whose keys are more than `distance` below the one of rank `k`, which
// are none where there are no more than k; keeps the order of the others. Returns how many it left
// out.
size_t LeaveOutBehind(std::vector<Shortlisted>& candidates, size_t k, double distance);

}  // namespace mrl::funnel
