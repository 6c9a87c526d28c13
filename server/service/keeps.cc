#include "server/service/keeps.h"

#include "base/status.h"

namespace mrl::server {

absl::Status Keeps::Learn(double share, const tune::StoppedFn& stopped, Asked* asked) {
  const auto dims = static_cast<uint32_t>(asked->query.vector.size());
  const auto learn = [&] {
    return tune::LearnKeep(asked->view(), asked->plan(), dims, share, /*threads=*/1, stopped);
  };
  MRL_ASSIGN_OR_RETURN(
      asked->keeps, rules_.Get(*asked->collection, LearnedFor(asked->plan(), dims, share), learn));
  asked->chosen.plan.slacks = asked->keeps->slacks;
  return absl::OkStatus();
}

void Keeps::Note(const std::string& name, const Asked& asked, const funnel::Output& output) {
  uint64_t left_out = 0;
  for (const funnel::StageTrace& stage : output.trace.stages) left_out += stage.left_out;
  // Those that left nothing out count too: the promise is a mean over all searches.
  taken_.Note(
      {name, 1},
      {asked.collection, asked.plan(), asked.query.vector, asked.query.leave_out, output.hits},
      asked.keeps->kept.value_or(1), left_out);
}

}  // namespace mrl::server
