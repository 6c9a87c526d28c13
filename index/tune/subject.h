// What is measured: queries that can be run through any plan. The caller owns the collection and
// the queries; this folder sees them through these callables only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "index/funnel/plan.h"
#include "index/funnel/run.h"
#include "index/tune/recall.h"

namespace mrl::tune {

struct Answer {
  std::vector<Scored> rows;  // best first, with the score of the last stage
  std::vector<funnel::StageTrace> stages;
  double millis = 0;
};

// Runs `plan` for query number `query`. Thread-safe.
using SearchFn = std::function<absl::StatusOr<Answer>(const funnel::Plan& plan, size_t query)>;

// The stage (0-based) of `plan` that lost each of `rows`, -1 for a row in the result. Thread-safe.
using LostAtFn = std::function<absl::StatusOr<std::vector<int>>(
    const funnel::Plan& plan, size_t query, absl::Span<const uint64_t> rows)>;

// A collection and queries with their truth, as far as tuning needs to know them.
struct Subject {
  funnel::PlanInput plan;  // schema, kinds, default_dims and query_dims; k and funnel are not read
  uint64_t rows = 0;
  std::vector<std::vector<Scored>> truth;  // per query, best first, scores at the whole query
  SearchFn search;
  // Parameters worth trying of the active coarse kind where it is not `scan`: {{"efSearch", 64}}.
  std::vector<coarse::Params> params;
};

// What takes how long: (what, done, total). Called from one thread at a time.
using ProgressFn = std::function<void(absl::string_view, uint64_t, uint64_t)>;

}  // namespace mrl::tune
