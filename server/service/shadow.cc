#include "server/service/shadow.h"

#include <limits>
#include <utility>

#include "base/status.h"
#include "index/tune/recall.h"
#include "index/tune/view_subject.h"

namespace mrl::server {
namespace {

// Scores of a plan that does not end at the whole query at stored precision tie with nothing.
std::vector<tune::Scored> Rows(const funnel::Plan& plan, size_t query_dims,
                               const std::vector<funnel::Hit>& hits) {
  const funnel::Stage& last = plan.stages.back();
  const bool is_whole = last.dims == query_dims && last.bits == 0;
  std::vector<tune::Scored> rows;
  rows.reserve(hits.size());
  for (const funnel::Hit& hit : hits) {
    rows.push_back(
        {tune::RowOf(hit.at), is_whole ? hit.score : std::numeric_limits<float>::quiet_NaN()});
  }
  return rows;
}

Shadow::Key KeyOf(const Shadow::Answered& answered) {
  const funnel::ProfileSet& profiles = answered.version->profiles();
  const funnel::Profile* profile = profiles.Find(profiles.shadow_name);
  return {answered.collection, profiles.shadow_name, profile == nullptr ? 0 : profile->serving};
}

}  // namespace

Shadow::Shadow() : worker_([this] { Work(); }) {}

Shadow::~Shadow() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    waiting_.clear();
  }
  worker_.join();
}

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
  absl::MutexLock lock(&mutex_);
  if (waiting_.size() < kWaitingMax) {
    waiting_.push_back(std::move(answered));
  } else {
    ++figures_[KeyOf(answered)].dropped;
  }
}

std::map<Shadow::Key, Shadow::Figures> Shadow::figures() const {
  absl::MutexLock lock(&mutex_);
  return figures_;
}

void Shadow::Work() {
  const auto ready = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !waiting_.empty();
  };
  while (true) {
    Answered answered;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&ready));
      if (stopping_) return;
      answered = std::move(waiting_.front());
      waiting_.pop_front();
    }
    const std::optional<Figures> one = Compare(answered);
    absl::MutexLock lock(&mutex_);
    Figures& all = figures_[KeyOf(answered)];
    if (!one.has_value()) {
      ++all.dropped;
      continue;
    }
    ++all.compared;
    all.served_recall += one->served_recall;
    all.shadow_recall += one->shadow_recall;
  }
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
  options.stopped = [this] {
    absl::MutexLock lock(&mutex_);
    return stopping_;
  };
  const auto truth = funnel::Run(view, *exact, answered.query, options);
  const auto found = funnel::Run(view, shadow->plan, answered.query, options);
  if (!truth.ok() || !found.ok()) return std::nullopt;
  const size_t dims = answered.query.size();
  const std::vector<tune::Scored> wanted = Rows(*exact, dims, truth->hits);
  if (wanted.empty()) return std::nullopt;
  const bool larger = LargerIsNearer(view.schema.metric);
  Figures figures;
  figures.served_recall =
      tune::RecallAtK(Rows(answered.plan, dims, answered.hits), wanted, answered.plan.k, larger);
  figures.shadow_recall =
      tune::RecallAtK(Rows(shadow->plan, dims, found->hits), wanted, answered.plan.k, larger);
  return figures;
}

}  // namespace mrl::server
