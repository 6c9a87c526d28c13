// Adaptive keep: behind a stage that ranks a query's candidates clearly, few of them go on.
//
// Method: calibration by error quantiles. A hit of the final result stands at an earlier stage at
// some distance behind that stage's k-th best: its deficit, which is 0 for most and which no bound
// over all queries keeps small. What is measured instead, on sampled points as queries, is which
// deficit all but a small share of the hits stay within; a candidate that is further behind is left
// out. The share that may be lost is split evenly among the stages (union bound). One half of the
// queries chooses, the other tells what such slacks really keep.
//
// Assumes that queries to come are like the collection's points. What is left out is not lost for
// certain, and what stays is not kept for certain: the promise is a mean.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "index/funnel/plan.h"
#include "index/funnel/run.h"
#include "index/tune/view_subject.h"

namespace mrl::tune {

// How far hits of the final result stood behind the k-th best of each stage, in units of
// funnel::SlackUnit, rounded up.
struct Deficits {
  static constexpr size_t kHitsMax = 100;  // of a larger result every second hit, third, …

  // Per query that has a result; per stage but the last; per hit, in one order for all stages.
  std::vector<std::vector<std::vector<float>>> queries;
};
// Runs `plan`, of two stages at least and without its slacks, on queries that are points of the
// view.
absl::StatusOr<Deficits> MeasureDeficits(const funnel::View& view, const funnel::Plan& plan,
                                         const ViewQueries& queries, size_t threads,
                                         const StoppedFn& stopped);

struct KeepRule {
  static constexpr size_t kQueriesMin = 20;  // that a slack is learned from
  static constexpr size_t kSample = 300;     // points that LearnKeep asks for

  std::vector<float> slacks = {};  // as funnel::Plan has them
  // Mean share of the final result that all slacks together keep of queries that did not choose
  // them. Unset where nothing is ever left out.
  std::optional<double> kept = {};
};
// The even queries choose: per stage the least slack within which the mean share of a query's hits,
// less its one-sided 95 % error, is at least 1 - (1 - `share`) / stages. The odd ones check. Where
// there are too few, everything goes on.
KeepRule LearnSlacks(const Deficits& deficits, double share);

// Both steps for queries of `dims` dimensions, on points of the view; a plan of one stage needs
// none.
absl::StatusOr<KeepRule> LearnKeep(const funnel::View& view, const funnel::Plan& plan,
                                   uint32_t dims, double share, size_t threads,
                                   const StoppedFn& stopped);

}  // namespace mrl::tune
