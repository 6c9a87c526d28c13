// Changes to the coarse indexes of a collection directory.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "index/coarse/index_spec.h"
#include "index/collection/live_collection.h"

namespace mrl::cli {

// Opens the directory for writing, does `work` and closes it.
absl::Status ChangeIndex(const std::string& index,
                         const std::function<absl::Status(collection::LiveCollection&)>& work);

// Builds an index and shows how far it is. `threads`: 0 = all cores.
absl::Status BuildKind(collection::LiveCollection& live, const coarse::IndexSpec& spec,
                       bool activate, uint32_t threads);

}  // namespace mrl::cli
