// Measures on a collection what CheapestChains needs: the ranks of true neighbours in the order of
// every stage, one pass a stage, and the time of a row at every stage on this machine.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/tune/chains.h"
#include "index/tune/subject.h"

namespace mrl::tune {

struct ProbeOptions {
  uint32_t k = 10;
  size_t threads = 1;  // of the rank passes; times are taken one query at a time
  size_t rank_queries_max = 400;
  size_t pairs_per_query_max = 50;
  size_t cost_queries_max = 16;
  uint32_t keep_max = 10'000;    // longest shortlist that is looked at; 20 k where that is more
  bool costs_are_bytes = false;  // what stages read, in place of how long they take
};

// `queries`: numbers of the subject's queries to learn from, at least one. Passes on what the
// search returns: CANCELLED when it was stopped.
absl::StatusOr<ChainInput> Probe(const Subject& subject, absl::Span<const size_t> queries,
                                 const ProbeOptions& options, const ProgressFn& progress);

}  // namespace mrl::tune
