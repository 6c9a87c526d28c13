// A search that can be watched and ended between its stages: what progressive search, anytime
// results and adaptive classification are made of.
#pragma once

#include <cstdint>
#include <functional>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/funnel/run.h"

namespace mrl::funnel {

// What a search does after a stage.
enum class Next : uint8_t {
  kGoOn,
  kEnd,   // the best k of this stage, with its scores, are the result
  kLast,  // the best k of this stage alone go to the last stage, which scores them
};

struct SteppedOptions {
  // Called after every stage with its number (0-based), what it did, and its best, best first.
  // After the last stage the answer does not matter. May be empty.
  std::function<Next(size_t stage, const StageTrace& trace, absl::Span<const Hit> best)> after = {};
  // A search that is stopped once its first stage is done gives the best of the last stage that
  // ended, in place of CANCELLED.
  bool anytime = false;
  // How many of the best `after` gets; fewer than k = k.
  size_t watched = 0;
};

struct SteppedOutput {
  Output output;     // at most k hits; the trace has the stages that ran
  bool cut = false;  // it was stopped before its last stage, and anytime
};

// As Run, which it equals when nothing ends it early. Thread-safe.
absl::StatusOr<SteppedOutput> RunStepped(const View& view, const Plan& plan,
                                         absl::Span<const float> query, const RunOptions& options,
                                         const SteppedOptions& stepped);

}  // namespace mrl::funnel
