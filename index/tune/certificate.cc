#include "index/tune/certificate.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "base/for_each.h"
#include "base/status.h"
#include "index/tune/measure.h"

namespace mrl::tune {

Interval RecallInterval(absl::Span<const double> recalls, uint32_t k, uint64_t seed) {
  const double unit = recalls.size() < kFewQueries ? 1.0 : 1.0 / std::max(1U, k);
  return MeanInterval(recalls, {.seed = seed, .unit = unit});
}

absl::StatusOr<funnel::Certificate> Certify(const Subject& subject, const LostAtFn& lost_at,
                                            const funnel::Plan& plan, size_t threads, uint64_t seed,
                                            const ProgressFn& progress) {
  const size_t count = subject.truth.size();
  if (count == 0) return absl::InvalidArgumentError("there are no queries");
  const bool larger = LargerIsNearer(subject.plan.schema->metric);
  std::vector<double> recalls(count);
  absl::Mutex mutex;
  uint64_t done = 0;
  MRL_RETURN_IF_ERROR(ForEach(count, threads, [&](size_t i) -> absl::Status {
    MRL_ASSIGN_OR_RETURN(const Answer answer, subject.search(plan, i));
    recalls[i] = RecallAtK(answer.rows, subject.truth[i], plan.k, larger);
    absl::MutexLock lock(&mutex);
    if (progress) progress("running the funnel", ++done, count);
    return absl::OkStatus();
  }));
  std::vector<size_t> all(count);
  std::iota(all.begin(), all.end(), size_t{0});
  funnel::Certificate certificate;
  MRL_ASSIGN_OR_RETURN(certificate.lost,
                       LossPerStage(subject, lost_at, plan, all, recalls, plan.k, threads));
  const Interval interval = RecallInterval(recalls, plan.k, seed);
  certificate.funnel = plan.ToText();
  certificate.k = plan.k;
  certificate.queries = static_cast<uint32_t>(count);
  certificate.recall = Mean(recalls);
  certificate.low = std::min(interval.low, certificate.recall);
  certificate.high = std::max(interval.high, certificate.recall);
  certificate.seed = seed;
  return certificate;
}

funnel::Certificate ToCertificate(const Measured& held_out, std::vector<double> lost,
                                  uint64_t seed) {
  funnel::Certificate certificate;
  certificate.funnel = held_out.plan.ToText();
  certificate.k = held_out.plan.k;
  certificate.queries = static_cast<uint32_t>(held_out.recalls.size());
  certificate.recall = held_out.recall;
  const Interval interval = RecallInterval(held_out.recalls, held_out.plan.k, seed);
  certificate.low = std::min(interval.low, held_out.recall);
  certificate.high = std::max(interval.high, held_out.recall);
  certificate.lost = std::move(lost);
  certificate.seed = seed;
  return certificate;
}

}  // namespace mrl::tune
