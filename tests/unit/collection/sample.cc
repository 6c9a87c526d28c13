#include "tests/unit/collection/sample.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace mrl::collection {

Schema SmallSchema(Metric metric, StorageType storage, Transform transform) {
  Schema schema;
  schema.dim = 24;
  schema.ladder = {4, 10, 24};
  schema.metric = metric;
  schema.storage = storage;
  schema.transform = transform;
  schema.codes = {{4, 8}, {10, 8}};
  return schema;
}

PointId IdOf(uint32_t row) {
  return row % 2 == 0 ? PointId(uint64_t{row}) : PointId(absl::StrCat("word.n.", row));
}

std::string PayloadOf(uint32_t row) { return absl::StrCat("{\"n\":", row, "}"); }

Chunk MakeChunk(const Schema& schema, uint32_t rows, uint32_t first) {
  Chunk chunk;
  for (uint32_t row = first; row < first + rows; ++row) {
    std::mt19937 random(row + 1);
    for (uint32_t i = 0; i < schema.dim; ++i) {
      chunk.vectors.push_back(static_cast<float>(random() >> 8) / (1 << 23) - 1.0F);
    }
    chunk.ids.push_back(IdOf(row));
    chunk.payloads.push_back(PayloadOf(row));
  }
  return chunk;
}

absl::StatusOr<BuildReport> Build(FileSystem& files, const std::string& path, const Schema& schema,
                                  uint32_t rows, const BuildOptions& options, uint32_t chunk_rows) {
  MRL_ASSIGN_OR_RETURN(const auto builder, CollectionBuilder::Create(files, path, schema, options));
  for (uint32_t first = 0; first < rows; first += chunk_rows) {
    MRL_RETURN_IF_ERROR(
        builder->Append(MakeChunk(schema, std::min(chunk_rows, rows - first), first)));
  }
  return builder->Finish();
}

}  // namespace mrl::collection
