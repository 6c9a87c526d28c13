// Links the rows of a graph anew, by their vectors: links by signs lead near, not to the nearest.
#pragma once

#include "absl/status/statusor.h"
#include "index/coarse/graph.h"
#include "index/coarse/index_spec.h"

namespace mrl::coarse {

// From a graph of the rows linked by signs, one that is linked by the cosine of the code's prefix
// as it is stored. Each row is offered the rows that a walk from it finds, and chooses by the
// robust pruning of "DiskANN" (Subramanya et al., NeurIPS 2019, algorithm 2); then the rows that
// chose it, among which it chooses again where they are too many. The same links for any number of
// threads. CANCELLED when it was stopped; DATA_LOSS of cold levels.
absl::StatusOr<GraphLinks> RefineLinks(const store::Segment& segment, const GraphCodes& codes,
                                       const GraphLinks& links, uint32_t degree,
                                       const BuildContext& context);

}  // namespace mrl::coarse
