// Small collections for one test, from one seed.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "base/file.h"
#include "index/collection/collection.h"
#include "index/schema/schema.h"

namespace mrl::collection {

// 24 dims on the ladder 4,10,24 with the codes 4b8 and 10b8.
Schema SmallSchema(Metric metric = Metric::kCosine, StorageType storage = StorageType::kF32,
                   Transform transform = Transform::kNone);

// Row r has the id r when r is even, "word.n.R" when it is odd, and the payload {"n":R}. `first` is
// the number of the first row: chunks of one range make the same rows however they are cut.
Chunk MakeChunk(const Schema& schema, uint32_t rows, uint32_t first = 0);
PointId IdOf(uint32_t row);
std::string PayloadOf(uint32_t row);

// Builds `rows` rows in chunks of so many.
absl::StatusOr<BuildReport> Build(FileSystem& files, const std::string& path, const Schema& schema,
                                  uint32_t rows, const BuildOptions& options = {},
                                  uint32_t chunk_rows = 7);

}  // namespace mrl::collection
