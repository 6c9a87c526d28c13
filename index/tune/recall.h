// Recall against exact search, and the cost figures of an evaluation. Search comes in as a
// callable.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace mrl::tune {

struct Scored {
  uint64_t row = 0;
  float score = 0;
};

// Share of the true top k that `found` holds; a found row whose score ties with the k-th true score
// (within 1e-6 relative) counts as a hit. `truth` best first; k is cut to truth.size().
double RecallAtK(absl::Span<const Scored> found, absl::Span<const Scored> truth, size_t k,
                 bool larger_is_nearer);
// The same by ids alone, for truth files without scores.
double RecallAtK(absl::Span<const uint64_t> found, absl::Span<const int64_t> truth, size_t k);

struct Latencies {
  double mean_ms = 0, p50_ms = 0, p95_ms = 0, p99_ms = 0;
};
// Quantiles by nearest rank. `millis` is sorted in place; empty gives zeros.
Latencies Summarise(std::vector<double>& millis);

}  // namespace mrl::tune
