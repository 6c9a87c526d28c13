// One row in the form in which it is stored: the same bits in the log, in the tail and in a
// segment.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "index/schema/point_id.h"
#include "index/schema/schema.h"

namespace mrl::store {

struct StoredRow {
  PointId id;
  uint64_t sequence = 0;
  std::vector<float> vector;  // transformed and rounded to the storage type
  float mean = 0;             // layer_norm only
  float deviation = 1;        // layer_norm only
  std::string payload;        // a JSON object, or "" for none
};

// Bytes for the log, without the sequence; and back. DATA_LOSS for bytes that Encode does not make
// with this schema.
std::string EncodeRow(const Schema& schema, const StoredRow& row);
absl::StatusOr<StoredRow> DecodeRow(const Schema& schema, absl::string_view bytes);

// Rounds `vector` (dim floats) to the storage type in place.
void RoundToStorage(const Schema& schema, float* vector);
// 1 / |prefix| of each level of a stored vector, 0 for a zero prefix, into `out` (levels floats).
void InverseNorms(const Schema& schema, const float* vector, float* out);
// Of `rows` vectors that lie one after the other.
void InverseNorms(const Schema& schema, const float* vectors, size_t rows, float* out);

}  // namespace mrl::store
