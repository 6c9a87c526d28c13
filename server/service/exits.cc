#include "server/service/exits.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/tune/view_subject.h"

namespace mrl::server {

absl::StatusOr<tune::Exited> Exits::Run(const std::string& name,
                                        const collection::Collection& collection,
                                        const funnel::Plan& plan, absl::Span<const float> query,
                                        const funnel::RunOptions& options, double share) {
  const funnel::View& view = collection.view();
  const auto learn = [&]() -> absl::StatusOr<tune::ExitRule> {
    tune::ViewQueries queries = tune::SampleQueries(view, kSample, /*seed=*/1);
    const auto dims = static_cast<uint32_t>(query.size());
    if (dims < queries.dims) queries = tune::ShortenQueries(queries, dims);
    MRL_ASSIGN_OR_RETURN(const tune::Tried tried,
                         tune::TryExits(view, plan, queries, /*threads=*/1, options.stopped));
    return tune::LearnExits(tried, share);
  };
  const std::string what =
      absl::StrCat(plan.ToText(), " k=", plan.k, " dims=", query.size(), " share=", share);
  MRL_ASSIGN_OR_RETURN(const auto rule, rules_.Get(collection, what, learn));
  auto exited = tune::RunWithExits(view, plan, query, options, *rule);
  if (!exited.ok()) return exited;
  absl::MutexLock lock(&mutex_);
  Figures& figures = figures_[{name, exited->stages}];
  ++figures.searches;
  figures.kept += exited->kept.value_or(0);
  return exited;
}

std::map<Exits::Key, Exits::Figures> Exits::figures() const {
  absl::MutexLock lock(&mutex_);
  return figures_;
}

}  // namespace mrl::server
