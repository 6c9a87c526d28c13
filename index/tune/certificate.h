// The certificate of a funnel: its recall on sampled queries, with the interval and what each stage
// loses.
//
// Method: recall@k against exact search per query; the interval of their mean at 95 % as in
// interval.h. Below kFewQueries a query that the sample does not hold may lose all of its k, not
// only one: the lower end is then that of the exact binomial bound of whole queries.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/funnel/profile.h"
#include "index/tune/interval.h"
#include "index/tune/subject.h"
#include "index/tune/tuner.h"

namespace mrl::tune {

inline constexpr size_t kFewQueries = 30;
inline constexpr char kCertificateMethod[] =
    "mean recall of sampled queries against exact search; 95 % BCa bootstrap over queries, its "
    "lower end at most the Clopper-Pearson bound of failures that the sample cannot show";

// `recalls`: one per query; `k`: as asked, at least 1.
Interval RecallInterval(absl::Span<const double> recalls, uint32_t k, uint64_t seed);

// Runs `plan` on all queries of the subject, which has truth. What binds the certificate to data
// (generation, sequence, rows, time) is left to the caller. INVALID_ARGUMENT without queries.
absl::StatusOr<funnel::Certificate> Certify(const Subject& subject, const LostAtFn& lost_at,
                                            const funnel::Plan& plan, size_t threads, uint64_t seed,
                                            const ProgressFn& progress);

// What tuning found out about its funnel on the queries that did not choose it; `lost` per stage.
// Data is left to the caller here too.
funnel::Certificate ToCertificate(const Measured& held_out, std::vector<double> lost,
                                  uint64_t seed);

}  // namespace mrl::tune
