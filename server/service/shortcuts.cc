#include "server/service/shortcuts.h"

#include "index/tune/early_exit.h"

namespace mrl::server {

void Shortcuts::Note(const Key& key, const Ran& ran, double kept, uint64_t left_out) {
  bool checks = false;
  {
    absl::MutexLock lock(&mutex_);
    Figures& figures = figures_[key];
    checks = key.second > 0 && figures.searches % kCheckEvery == 0;
    ++figures.searches;
    figures.left_out += left_out;
    figures.kept += kept;
  }
  if (!checks) return;
  const auto taken = std::make_shared<Taken>(Taken{key,
                                                   ran.collection,
                                                   ran.plan,
                                                   {ran.query.begin(), ran.query.end()},
                                                   ran.leave_out,
                                                   {ran.hits.begin(), ran.hits.end()}});
  taken->plan.slacks.clear();
  aside_.Offer([this, taken] { Check(*taken); });
}

void Shortcuts::Check(const Taken& taken) {
  funnel::RunOptions options;
  options.leave_out = taken.leave_out;
  options.stopped = [this] { return aside_.stopping(); };
  const auto whole = funnel::Run(taken.collection->view(), taken.plan, taken.query, options);
  if (!whole.ok() || whole->hits.empty()) return;
  const double kept = tune::ShareKept(taken.hits, whole->hits);
  absl::MutexLock lock(&mutex_);
  const auto figures = figures_.find(taken.key);
  if (figures == figures_.end()) return;  // forgotten since
  ++figures->second.checked;
  figures->second.really_kept += kept;
}

std::map<Shortcuts::Key, Shortcuts::Figures> Shortcuts::figures() const {
  absl::MutexLock lock(&mutex_);
  return figures_;
}

void Shortcuts::Forget(const std::string& collection) {
  absl::MutexLock lock(&mutex_);
  const auto begin = figures_.lower_bound({collection, 0});
  figures_.erase(begin, figures_.lower_bound({collection + '\0', 0}));
}

}  // namespace mrl::server
