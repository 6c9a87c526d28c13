// Adaptive classification: the label that most of the k nearest neighbours have, looked for at
// longer and longer prefixes until enough of them agree.
//
// Method: "Matryoshka Representation Learning" (NeurIPS 2022), section 4.2, with a vote of
// neighbours in place of a classifier's softmax: per prefix a threshold is learned on points whose
// label is known, and a query stops at the first prefix whose vote passes it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/funnel/plan.h"
#include "index/funnel/run.h"
#include "index/tune/view_subject.h"

namespace mrl::tune {

// The label of a row; "" where it has none, and it does not vote. Thread-safe.
using LabelFn = std::function<absl::StatusOr<std::string>(const funnel::Location&)>;

struct Vote {
  std::string label;  // "" when nobody voted
  double share = 0;   // of those who voted
};
// `labels` nearest first, "" for none; among equals the label of the nearer neighbour wins.
Vote MajorityOf(absl::Span<const std::string> labels);

// A stage at every ladder step up to `query_dims`, over shortlists that shrink to k.
funnel::Funnel ClimbingFunnel(const Schema& schema, uint32_t query_dims, uint32_t k);

// Votes at every stage on queries whose label is known.
struct Judged {
  struct Step {
    double share = 0;
    bool right = false;
  };
  std::vector<std::vector<Step>> stages;  // per stage and query, in one order
  std::vector<uint32_t> dims;             // per stage
};
// Runs `plan`, a climbing one, on queries that are points of the view. Points without a label are
// passed over. INVALID_ARGUMENT when none has one.
absl::StatusOr<Judged> JudgeVotes(const funnel::View& view, const funnel::Plan& plan,
                                  const ViewQueries& queries, const LabelFn& label_of,
                                  size_t threads, const StoppedFn& stopped);

// Per stage the least share of votes above which at least `confidence` of the judged were right;
// above 1 where no share is enough. The last stage always stops: 0.
std::vector<double> LearnThresholds(const Judged& judged, double confidence);
// How many of those judged at a stage with at least this share were right; 0 where none had it.
double RightShare(const Judged& judged, size_t stage, double share);

// What thresholds give on judged queries.
struct Cascade {
  double accuracy = 0;
  double expected_dims = 0;
};
Cascade RunCascade(const Judged& judged, absl::Span<const double> thresholds);

struct Classified {
  Vote vote;
  size_t stage = 0;  // that stopped
  funnel::Trace trace;
};
// One query, stopped by `thresholds`, of which there is one per stage of `plan`.
absl::StatusOr<Classified> Classify(const funnel::View& view, const funnel::Plan& plan,
                                    absl::Span<const float> query,
                                    const funnel::RunOptions& options, const LabelFn& label_of,
                                    absl::Span<const double> thresholds);

}  // namespace mrl::tune
