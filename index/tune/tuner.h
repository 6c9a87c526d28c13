// The cheapest funnel that reaches a recall on one's own vectors, or the best recall within a
// budget: a latency, or bytes read.
//
// Half of the queries tune, the other half checks. Chains of stages are searched by predicted
// survival and predicted cost (chains.h); the most promising ones then run, their keeps are
// shortened while the recall holds, and the fastest whose lower end of the 95 % interval reaches
// the target on the tuning half is chosen. What is reported of it comes from the held-out half.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "index/tune/interval.h"
#include "index/tune/recall.h"
#include "index/tune/subject.h"

namespace mrl::tune {

struct TuneOptions {
  double target_recall = 0.95;  // above 0, at most 1; not read when a budget is set
  double target_p99_ms = 0;     // > 0: the best recall whose 99th percentile is at most this
  double target_bytes = 0;      // > 0: the best recall whose mean bytes read are at most this
  uint32_t k = 10;
  size_t threads = 1;              // of recall and ranks; times are taken one query at a time
  uint64_t seed = 1;               // of the split and of the intervals
  size_t candidates_max = 12;      // chains that run for one target
  size_t timed_queries_max = 200;  // of the tuning half, when candidates are compared

  bool has_budget() const { return target_p99_ms > 0 || target_bytes > 0; }
  // INVALID_ARGUMENT names the number and its limits.
  absl::Status Validate() const;
};

// One plan on one set of queries, one query at a time.
struct Measured {
  funnel::Plan plan;
  double recall = 0;
  Interval interval;  // 95 %, of the recall
  Latencies times;
  std::vector<double> recalls = {};  // per query
  double mean_bytes = 0;             // of vectors and codes, that a query read
  double qps() const { return times.mean_ms > 0 ? 1000 / times.mean_ms : 0; }
};

struct TuneResult {
  Measured tuning;       // the chosen plan on the tuning half
  Measured held_out;     // the same on the held-out half
  bool reached = false;  // on the tuning half, by the rule above
  std::vector<size_t> tuning_queries, held_out_queries;
  size_t tried = 0;             // plans that ran
  std::vector<Measured> front;  // of all that ran: each is faster than all of higher recall
};

// INVALID_ARGUMENT for fewer than two queries; CANCELLED when the search was stopped.
absl::StatusOr<TuneResult> Tune(const Subject& subject, const TuneOptions& options,
                                const ProgressFn& progress);

}  // namespace mrl::tune
