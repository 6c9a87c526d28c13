// Early exit: after a stage whose best stand out from the rest, the stages in between are left out.
//
// Method: as adaptive classification (adaptive.h), with a margin in place of a vote: how far the
// score of the k-th best is from that of the 2k-th. Per stage the least margin is learned above
// which the k best of sampled queries were those of the whole funnel; another half of the queries
// tells what such exits really keep.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/funnel/plan.h"
#include "index/funnel/run.h"
#include "index/tune/view_subject.h"

namespace mrl::tune {

// What an exit after each stage would have done to queries that ran to the end.
struct Tried {
  struct Step {
    double margin = 0;  // at least 0; infinite where the stage had no more than k candidates
    double kept = 0;    // share of the final result among the k best of the stage
  };
  std::vector<std::vector<Step>> stages;  // per stage but the last, and query, in one order
};
// Share of `last` that is among `early`; 1 where `last` is empty.
double ShareKept(absl::Span<const funnel::Hit> early, absl::Span<const funnel::Hit> last);
// Runs `plan` on queries that are points of the view. FAILED_PRECONDITION where there are none.
absl::StatusOr<Tried> TryExits(const funnel::View& view, const funnel::Plan& plan,
                               const ViewQueries& queries, size_t threads,
                               const StoppedFn& stopped);

struct ExitRule {
  static constexpr size_t kQueriesMin = 20;  // that an exit is learned from

  struct AtStage {
    double margin = 0;             // from which a query exits; infinite = never
    std::optional<double> kept{};  // of the exits of queries that did not choose it
  };
  std::vector<AtStage> stages;  // per stage but the last
};
// The even queries choose: the least margin above which their mean share kept, less its one-sided
// 95 % error, is at least `share`. The odd ones check; a stage that none of them exits at has no
// exit.
ExitRule LearnExits(const Tried& tried, double share);

struct Exited {
  funnel::Output output;
  size_t stages = 0;                // that ran before the last one was next; 0 = all ran
  std::optional<double> kept = {};  // what exits there keep
};
// One query, under a rule for `plan`.
absl::StatusOr<Exited> RunWithExits(const funnel::View& view, const funnel::Plan& plan,
                                    absl::Span<const float> query,
                                    const funnel::RunOptions& options, const ExitRule& rule);

}  // namespace mrl::tune
