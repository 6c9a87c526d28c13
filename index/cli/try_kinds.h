// Coarse indexes that are built to see whether they are worth it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace mrl::cli {

// An index that has to be built is worth it from here on: of the time, or of what is missing from
// full recall.
inline constexpr double kWorthBuilding = 0.9;

struct TryOptions {
  // Which to try, in this order; those that the collection has already, or has no codes for, are
  // left out. faiss: HNSW32.
  std::vector<std::string> kinds = {"ivf_scan", "graph", "faiss"};
  bool activate = true;  // each is the active one while it is looked at
  uint32_t threads = 0;  // that build; 0 = all cores
};

// Whether the kind that was built is better than all before it.
using IsBetterFn = std::function<absl::StatusOr<bool>(const std::string& kind)>;

// Builds the kinds one after the other, and lets `is_better` look at each. Only the best of them
// stays, and what was active before is so again; after an error none stays.
absl::Status TryKinds(const std::string& index, const TryOptions& options,
                      const IsBetterFn& is_better);

}  // namespace mrl::cli
