#include "server/service/shadow.h"

#include <iterator>
#include <utility>

#include "base/status.h"
#include "index/tune/recall.h"
#include "index/tune/view_subject.h"

namespace mrl::server {
namespace {

Shadow::Key KeyOf(const Shadow::Answered& answered) {
  const funnel::ProfileSet& profiles = answered.version->profiles();
  const funnel::Profile* profile = profiles.Find(profiles.shadow_name);
  return {answered.collection, profiles.shadow_name, profile == nullptr ? 0 : profile->serving};
}

}  // namespace

bool Shadow::IsNext(const std::string& collection, const funnel::ProfileSet& profiles) {
  if (profiles.shadow_share <= 0) return false;
  absl::MutexLock lock(&mutex_);
  double& credit = credit_[collection];
  credit += profiles.shadow_share;
  if (credit < 1 - 1e-9) return false;
  credit -= 1;
  return true;
}

void Shadow::Take(Answered answered) {
  const auto shared = std::make_shared<const Answered>(std::move(answered));
  {
    absl::MutexLock lock(&mutex_);
    figures_[KeyOf(*shared)];  // what was compared is counted where this stands
  }
  if (aside_.Offer([this, shared] { Work(*shared); })) return;
  absl::MutexLock lock(&mutex_);
  ++figures_[KeyOf(*shared)].dropped;
}

std::map<Shadow::Key, Shadow::Figures> Shadow::figures() const {
  absl::MutexLock lock(&mutex_);
  return figures_;
}

void Shadow::Forget(const std::string& collection) {
  absl::MutexLock lock(&mutex_);
  credit_.erase(collection);
  for (auto at = figures_.begin(); at != figures_.end();) {
    at = std::get<0>(at->first) == collection ? figures_.erase(at) : std::next(at);
  }
}

void Shadow::Work(const Answered& answered) {
  const std::optional<Figures> one = Compare(answered);
  absl::MutexLock lock(&mutex_);
  const auto all = figures_.find(KeyOf(answered));
  if (all == figures_.end()) return;  // forgotten since
  if (!one.has_value()) {
    ++all->second.dropped;
    return;
  }
  ++all->second.compared;
  all->second.served_recall += one->served_recall;
  all->second.shadow_recall += one->shadow_recall;
}

std::optional<Shadow::Figures> Shadow::Compare(const Answered& answered) const {
  const funnel::View& view = answered.version->view();
  const funnel::ProfileSet& profiles = answered.version->profiles();
  funnel::PlanInput input = answered.version->plan_input();
  input.k = answered.plan.k;
  input.query_dims = static_cast<uint32_t>(answered.query.size());
  const auto shadow = funnel::ChoosePlan(profiles, profiles.shadow_name, input);
  input.exact = true;
  const auto exact = funnel::MakePlan(input);
  if (!shadow.ok() || !exact.ok()) return std::nullopt;
  funnel::RunOptions options;
  options.leave_out = answered.leave_out;
  options.stopped = [this] { return aside_.stopping(); };
  const auto truth = funnel::Run(view, *exact, answered.query, options);
  const auto found = funnel::Run(view, shadow->plan, answered.query, options);
  if (!truth.ok() || !found.ok()) return std::nullopt;
  const size_t dims = answered.query.size();
  const std::vector<tune::Scored> wanted = tune::ScoredHits(*exact, dims, truth->hits);
  if (wanted.empty()) return std::nullopt;
  const bool larger = LargerIsNearer(view.schema.metric);
  Figures figures;
  figures.served_recall = tune::RecallAtK(tune::ScoredHits(answered.plan, dims, answered.hits),
                                          wanted, answered.plan.k, larger);
  figures.shadow_recall = tune::RecallAtK(tune::ScoredHits(shadow->plan, dims, found->hits), wanted,
                                          answered.plan.k, larger);
  return figures;
}

}  // namespace mrl::server
