// Rows for segment tests, from one seed.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/schema/point_id.h"
#include "index/schema/schema.h"

namespace mrl::store {

struct Rows {
  std::vector<float> vectors;
  std::vector<PointId> ids;
  std::vector<std::string> payloads;
  std::vector<float> mean_deviation;  // layer_norm only
};

inline Schema SmallSchema(Metric metric = Metric::kCosine, StorageType storage = StorageType::kF32,
                          Transform transform = Transform::kNone) {
  Schema schema;
  schema.dim = 24;
  schema.ladder = {4, 10, 24};
  schema.metric = metric;
  schema.storage = storage;
  schema.transform = transform;
  return schema;
}

// Ids are strings and numbers in turn, falling as rows rise; every third row has no payload.
inline Rows MakeRows(const Schema& schema, uint32_t rows) {
  std::mt19937 random(411);
  Rows made;
  for (uint32_t row = 0; row < rows; ++row) {
    for (uint32_t i = 0; i < schema.dim; ++i) {
      made.vectors.push_back(static_cast<float>(random() >> 8) / (1 << 23) - 1.0F);
    }
    made.ids.push_back(row % 2 == 0 ? PointId(absl::StrCat("word.n.", 1000 - row))
                                    : PointId(uint64_t{1000} - row));
    made.payloads.push_back(
        row % 3 == 0 ? "" : absl::StrCat("{\"text\":\"", std::string(row * 40, 'p'), "\"}"));
    if (schema.transform == Transform::kLayerNorm) {
      made.mean_deviation.insert(made.mean_deviation.end(), {0.25F * row, 1.0F + row});
    }
  }
  return made;
}

}  // namespace mrl::store
