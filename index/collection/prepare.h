// From what a request asks to rows that may be stored.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "index/collection/live_collection.h"
#include "index/filter/payload_values.h"
#include "index/store/stored_row.h"

namespace mrl::collection {

struct PreparedPoint {
  store::StoredRow row;  // but for the sequence
  std::string bytes;     // store::EncodeRow of it
  filter::RowValues values;
  PointWrite::Condition condition = PointWrite::Condition::kNone;
  uint64_t sequence = 0;  // kIfSequence
};

// Checks, transforms and rounds every point; of several with one id the last is left, in its place.
// INVALID_ARGUMENT names the point and what is wrong with it.
absl::StatusOr<std::vector<PreparedPoint>> Prepare(const Schema& schema,
                                                   std::vector<PointWrite> points);

// The entries whose key no later entry has, in order.
std::vector<size_t> LastOfEach(const std::vector<std::string>& keys);

}  // namespace mrl::collection
