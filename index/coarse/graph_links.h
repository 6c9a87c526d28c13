// Links the rows of a graph by their signs, which FAISS does: rows that are near, to choose the
// nearest among (graph_refine.h).
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "index/coarse/graph.h"
#include "index/coarse/index_spec.h"

namespace mrl::coarse {

// By Hamming distance, up to 32 links a row. CANCELLED when it was stopped.
absl::StatusOr<GraphLinks> LinkBySigns(const GraphCodes& codes, uint32_t rows,
                                       const BuildContext& context);

}  // namespace mrl::coarse
