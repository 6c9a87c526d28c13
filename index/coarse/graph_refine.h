// Links the rows of a graph anew, by their vectors: links by signs lead near, not to the nearest.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/coarse/graph.h"
#include "index/coarse/index_spec.h"

namespace mrl::coarse {

// What a graph is made of: rows of a segment, by their place.
struct GraphRows {
  const store::Segment& segment;
  absl::Span<const uint32_t> at;
};

// From a graph of `rows`, which have `codes`, linked by signs, one that is linked by the cosine of
// the code's prefix as it is stored. Each row is offered the rows that a walk from it finds, and
// chooses by the robust pruning of "DiskANN" (Subramanya et al., NeurIPS 2019, algorithm 2); then
// the rows that chose it, among which it chooses again where they are too many. The same links for
// any number of threads; for a while they take 12 bytes for each of `degree` links of a row.
// CANCELLED when it was stopped; DATA_LOSS of cold levels.
absl::StatusOr<GraphLinks> RefineLinks(const GraphRows& rows, const GraphCodes& codes,
                                       GraphLinks links, uint32_t degree,
                                       const BuildContext& context);

}  // namespace mrl::coarse
