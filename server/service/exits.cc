#include "server/service/exits.h"

#include "base/status.h"
#include "index/tune/view_subject.h"

namespace mrl::server {

absl::StatusOr<tune::Exited> Exits::Run(
    const std::string& name, const std::shared_ptr<const collection::Collection>& collection,
    const funnel::Plan& plan, absl::Span<const float> query, const funnel::RunOptions& options,
    double share) {
  const funnel::View& view = collection->view();
  const auto dims = static_cast<uint32_t>(query.size());
  const auto learn = [&]() -> absl::StatusOr<tune::ExitRule> {
    MRL_ASSIGN_OR_RETURN(const tune::ViewQueries queries,
                         tune::SampleQueries(view, kSample, /*seed=*/1, dims));
    MRL_ASSIGN_OR_RETURN(const tune::Tried tried,
                         tune::TryExits(view, plan, queries, /*threads=*/1, options.stopped));
    return tune::LearnExits(tried, share);
  };
  MRL_ASSIGN_OR_RETURN(const auto rule,
                       rules_.Get(*collection, LearnedFor(plan, dims, share), learn));
  auto exited = tune::RunWithExits(view, plan, query, options, *rule);
  if (!exited.ok()) return exited;
  taken_.Note({name, exited->stages},
              {collection, plan, query, options.leave_out, exited->output.hits},
              exited->kept.value_or(0), /*left_out=*/0);
  return exited;
}

}  // namespace mrl::server
