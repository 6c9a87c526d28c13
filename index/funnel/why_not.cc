#include "index/funnel/why_not.h"

#include <algorithm>
#include <utility>

#include "base/status.h"

namespace mrl::funnel {

WhyNotFollower::WhyNotFollower(const View& view, absl::Span<const PointId> ids) {
  for (const PointId& id : ids) {
    const std::optional<Location> place = Find(view, id);
    WhyNot& point = points_.emplace_back();
    point.id = id;
    point.found = place.has_value();
    places_.push_back(place.value_or(Location{}));
  }
}

absl::Status WhyNotFollower::Note(const Search& search, size_t number,
                                  const std::vector<Shortlisted>& kept) {
  for (size_t i = 0; i < points_.size(); ++i) {
    WhyNot& point = points_[i];
    if (!point.found) continue;
    WhyNot::AtStage at;
    MRL_ASSIGN_OR_RETURN(at.score, ScoreAt(search, search.plan.stages[number], places_[i]));
    const auto place = std::find_if(kept.begin(), kept.end(), [&](const Shortlisted& candidate) {
      return candidate.at == places_[i];
    });
    if (place != kept.end()) at.rank = place - kept.begin();
    if (at.rank < 0 && point.lost_at < 0) point.lost_at = static_cast<int>(number);
    point.stages.push_back(at);
  }
  return absl::OkStatus();
}

}  // namespace mrl::funnel
