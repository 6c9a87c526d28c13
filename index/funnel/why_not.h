// Follows named points through the stages of one search.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/funnel/run.h"
#include "index/funnel/stages.h"

namespace mrl::funnel {

class WhyNotFollower {
 public:
  WhyNotFollower(const View& view, absl::Span<const PointId> ids);

  bool empty() const { return points_.empty(); }
  // Notes where the points stand after stage `number` (0-based); `kept` best first.
  absl::Status Note(const Search& search, size_t number, const std::vector<Shortlisted>& kept);
  std::vector<WhyNot> Take() { return std::move(points_); }

 private:
  std::vector<WhyNot> points_;
  std::vector<Location> places_;  // of the points that were found; beside points_
};

}  // namespace mrl::funnel
