#include "server/warm_up.h"

#include <spdlog/spdlog.h>

#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "base/status.h"
#include "index/funnel/plan.h"
#include "index/funnel/run.h"

namespace mrl::server {
namespace {

constexpr absl::Duration kTimeMax = absl::Seconds(5);

absl::Status SearchFor(const collection::Collection& collection, const funnel::View::Part& part,
                       uint32_t row, const std::function<bool()>& stopped) {
  funnel::PlanInput input = collection.plan_input();
  input.query_dims = collection.schema().dim;
  MRL_ASSIGN_OR_RETURN(const funnel::Plan plan, funnel::MakePlan(input));
  std::vector<float> query(input.query_dims);
  MRL_RETURN_IF_ERROR(part.segment->Vector(row, query.data()));
  funnel::RunOptions options;
  options.stopped = stopped;
  return funnel::Run(collection.view(), plan, query, options).status();
}

}  // namespace

int64_t WarmUp(const std::string& name, const collection::Collection& collection, int64_t queries,
               const std::function<bool()>& stopped) {
  const std::vector<funnel::View::Part>& parts = collection.view().parts;
  const absl::Time begin = absl::Now();
  const auto over = [&] { return absl::Now() >= begin + kTimeMax || stopped(); };
  int64_t ran = 0;
  for (int64_t i = 0; i < queries && !over() && !parts.empty(); ++i) {
    const funnel::View::Part& part = parts[static_cast<size_t>(i) % parts.size()];
    const uint64_t rows = part.segment->rows();
    if (rows == 0) continue;
    const auto row = static_cast<uint32_t>(static_cast<uint64_t>(i) * rows / queries);
    const absl::Status searched = SearchFor(collection, part, row, over);
    if (absl::IsCancelled(searched)) break;
    if (!searched.ok()) {
      spdlog::warn("collection '{}': warm-up: {}", name, searched.ToString());
      break;
    }
    ++ran;
  }
  spdlog::info("collection '{}': warmed up by {} searches in {} ms", name, ran,
               absl::ToInt64Milliseconds(absl::Now() - begin));
  return ran;
}

}  // namespace mrl::server
