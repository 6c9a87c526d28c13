#include "index/tune/measure.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "base/check.h"
#include "base/for_each.h"
#include "base/status.h"

namespace mrl::tune {
namespace {

double MedianOf(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

absl::StatusOr<std::vector<double>> MeasureRecalls(const Subject& subject, const funnel::Plan& plan,
                                                   absl::Span<const size_t> queries, uint32_t k,
                                                   size_t threads, double* mean_bytes) {
  const bool larger = LargerIsNearer(subject.plan.schema->metric);
  std::vector<double> recalls(queries.size());
  std::vector<double> bytes(queries.size());
  MRL_RETURN_IF_ERROR(ForEach(queries.size(), threads, [&](size_t i) -> absl::Status {
    MRL_ASSIGN_OR_RETURN(const Answer answer, subject.search(plan, queries[i]));
    recalls[i] = RecallAtK(answer.rows, subject.truth[queries[i]], k, larger);
    for (const funnel::StageTrace& stage : answer.stages) {
      bytes[i] += static_cast<double>(stage.bytes);
    }
    return absl::OkStatus();
  }));
  if (mean_bytes != nullptr) *mean_bytes = Mean(bytes);
  return recalls;
}

absl::StatusOr<std::vector<std::vector<double>>> MeasureMillis(const Subject& subject,
                                                               absl::Span<const funnel::Plan> plans,
                                                               absl::Span<const size_t> queries,
                                                               size_t rounds) {
  CHECK(rounds > 0);
  std::vector<std::vector<double>> millis(plans.size());
  for (const size_t query : queries) {
    std::vector<std::vector<double>> turns(plans.size());
    for (size_t round = 0; round < rounds; ++round) {
      for (size_t plan = 0; plan < plans.size(); ++plan) {
        MRL_ASSIGN_OR_RETURN(const Answer answer, subject.search(plans[plan], query));
        turns[plan].push_back(answer.millis);
      }
    }
    for (size_t plan = 0; plan < plans.size(); ++plan) {
      millis[plan].push_back(MedianOf(turns[plan]));
    }
  }
  return millis;
}

absl::StatusOr<std::vector<double>> LossPerStage(const Subject& subject, const LostAtFn& lost_at,
                                                 const funnel::Plan& plan,
                                                 absl::Span<const size_t> queries,
                                                 absl::Span<const double> recalls, uint32_t k,
                                                 size_t threads) {
  CHECK(recalls.size() == queries.size());
  std::vector<double> lost(plan.stages.size());
  absl::Mutex mutex;
  MRL_RETURN_IF_ERROR(ForEach(queries.size(), threads, [&](size_t i) -> absl::Status {
    const std::vector<Scored>& truth = subject.truth[queries[i]];
    const size_t wanted = std::min<size_t>(k, truth.size());
    // Recall forgives a row whose score ties with the k-th, so that fewer may count as lost than
    // are absent.
    auto missed = static_cast<size_t>(std::lround((1 - recalls[i]) * static_cast<double>(wanted)));
    if (missed == 0) return absl::OkStatus();
    std::vector<uint64_t> rows;
    for (const Scored& scored : absl::MakeConstSpan(truth).first(wanted))
      rows.push_back(scored.row);
    MRL_ASSIGN_OR_RETURN(const std::vector<int> stages, lost_at(plan, queries[i], rows));
    absl::MutexLock lock(&mutex);
    for (const int stage : stages) {
      if (stage < 0 || missed == 0) continue;
      --missed;
      lost[static_cast<size_t>(stage)] += 1.0 / static_cast<double>(wanted);
    }
    return absl::OkStatus();
  }));
  for (double& share : lost) share /= static_cast<double>(std::max<size_t>(queries.size(), 1));
  return lost;
}

}  // namespace mrl::tune
