// Coarse indexes that are built to see whether they are worth it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace mrl::cli {

// Whether the kind that was built and is active now is better than all before it.
using IsBetterFn = std::function<absl::StatusOr<bool>(const std::string& kind)>;

// Builds the kinds that the collection lacks, `ivf_scan` where it has codes and `faiss` with
// HNSW32, one after the other, each the active one while `is_better` looks at it. Only the best of
// them stays, and what was active before is so again; after an error none stays. `threads`: 0 = all
// cores.
absl::Status TryKinds(const std::string& index, uint32_t threads, const IsBetterFn& is_better);

}  // namespace mrl::cli
