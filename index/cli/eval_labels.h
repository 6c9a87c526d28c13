// Adaptive classification of an index's own points.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace mrl::cli {

struct LabelsArgs {
  std::string index;
  std::string field;  // of the payloads
  uint32_t k = 10;
  uint64_t sample = 1000;  // points: one half learns thresholds, the other is classified
  uint64_t seed = 1;
  uint32_t threads = 1;
  uint32_t hot_dims = 0;
  bool json = false;
};

// Prints accuracy and expected dimensions, of each prefix alone and by threshold.
absl::Status EvalLabels(const LabelsArgs& args);

}  // namespace mrl::cli
