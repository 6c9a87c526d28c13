#include "server/service/exits.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/tune/view_subject.h"

namespace mrl::server {

absl::StatusOr<tune::Exited> Exits::Run(const std::string& name,
                                        std::shared_ptr<const collection::Collection> collection,
                                        const funnel::Plan& plan, absl::Span<const float> query,
                                        const funnel::RunOptions& options, double share) {
  const funnel::View& view = collection->view();
  const auto learn = [&]() -> absl::StatusOr<tune::ExitRule> {
    MRL_ASSIGN_OR_RETURN(tune::ViewQueries queries, tune::SampleQueries(view, kSample, /*seed=*/1));
    const auto dims = static_cast<uint32_t>(query.size());
    if (dims < queries.dims) queries = tune::ShortenQueries(queries, dims);
    MRL_ASSIGN_OR_RETURN(const tune::Tried tried,
                         tune::TryExits(view, plan, queries, /*threads=*/1, options.stopped));
    return tune::LearnExits(tried, share);
  };
  const std::string what =
      absl::StrCat(plan.ToText(), " k=", plan.k, " dims=", query.size(), " share=", share);
  MRL_ASSIGN_OR_RETURN(const auto rule, rules_.Get(*collection, what, learn));
  auto exited = tune::RunWithExits(view, plan, query, options, *rule);
  if (!exited.ok()) return exited;
  const Key key = {name, exited->stages};
  bool checks = false;
  {
    absl::MutexLock lock(&mutex_);
    Figures& figures = figures_[key];
    checks = key.second > 0 && figures.searches % kCheckEvery == 0;
    ++figures.searches;
    figures.kept += exited->kept.value_or(0);
  }
  if (checks) {
    const auto taken = std::make_shared<const Taken>(Taken{key,
                                                           std::move(collection),
                                                           plan,
                                                           {query.begin(), query.end()},
                                                           options.leave_out,
                                                           exited->output.hits});
    aside_.Offer([this, taken] { Check(*taken); });
  }
  return exited;
}

void Exits::Check(const Taken& taken) {
  funnel::RunOptions options;
  options.leave_out = taken.leave_out;
  options.stopped = [this] { return aside_.stopping(); };
  const auto whole = funnel::Run(taken.collection->view(), taken.plan, taken.query, options);
  if (!whole.ok() || whole->hits.empty()) return;
  const auto kept =
      std::count_if(whole->hits.begin(), whole->hits.end(), [&](const funnel::Hit& hit) {
        return std::any_of(taken.hits.begin(), taken.hits.end(),
                           [&](const funnel::Hit& other) { return other.at == hit.at; });
      });
  absl::MutexLock lock(&mutex_);
  const auto figures = figures_.find(taken.key);
  if (figures == figures_.end()) return;  // forgotten since
  ++figures->second.checked;
  figures->second.really_kept +=
      static_cast<double>(kept) / static_cast<double>(whole->hits.size());
}

std::map<Exits::Key, Exits::Figures> Exits::figures() const {
  absl::MutexLock lock(&mutex_);
  return figures_;
}

void Exits::Forget(const std::string& collection) {
  absl::MutexLock lock(&mutex_);
  const auto begin = figures_.lower_bound({collection, 0});
  figures_.erase(begin, figures_.lower_bound({collection + '\0', 0}));
}

}  // namespace mrl::server
