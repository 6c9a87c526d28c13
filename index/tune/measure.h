// Runs plans for real: recall against the truth, and times.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/tune/interval.h"
#include "index/tune/subject.h"

namespace mrl::tune {

// Recall at `k` of each of `queries` (numbers of the subject's queries), in their order. The last
// stage of `plan` is the whole query at stored precision, so that its scores are the truth's.
// `mean_bytes`, where it is not null, becomes what a query read of vectors and codes.
absl::StatusOr<std::vector<double>> MeasureRecalls(const Subject& subject, const funnel::Plan& plan,
                                                   absl::Span<const size_t> queries, uint32_t k,
                                                   size_t threads, double* mean_bytes = nullptr);

// Milliseconds of each of `queries` for each of `plans`, one at a time: per query the plans take
// turns, and the median of `rounds` turns counts, so that what else the machine does meets all
// alike.
absl::StatusOr<std::vector<std::vector<double>>> MeasureMillis(const Subject& subject,
                                                               absl::Span<const funnel::Plan> plans,
                                                               absl::Span<const size_t> queries,
                                                               size_t rounds);

// Share of all true neighbours that each stage of `plan` lost, as recall counts them: the shares
// and the recall add up to 1. `recalls`: what MeasureRecalls found for `queries`. Runs only the
// queries that lost any.
absl::StatusOr<std::vector<double>> LossPerStage(const Subject& subject, const LostAtFn& lost_at,
                                                 const funnel::Plan& plan,
                                                 absl::Span<const size_t> queries,
                                                 absl::Span<const double> recalls, uint32_t k,
                                                 size_t threads);

}  // namespace mrl::tune
