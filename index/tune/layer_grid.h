// 2D Matryoshka: quality of every (encoder layer, dimension) pair, and of queries of one layer
// against documents of another.
//
// Method: "2D Matryoshka Sentence Embeddings" (arXiv 2402.14776). The truth is that of the last
// layer at full dimension, for all cells alike.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "index/schema/schema.h"
#include "index/tune/prefix_scorer.h"
#include "index/tune/subject.h"

namespace mrl::tune {

// The same documents and queries, row by row, as one layer embeds them.
struct Layer {
  std::string name;
  Matrix documents, queries;
};

struct LayerGridInput {
  std::vector<Layer> layers;     // from the shallowest to the last one, which is the truth
  std::vector<size_t> own_rows;  // as in DimensionReportInput
  std::vector<uint32_t> ladder;
  Metric metric = Metric::kCosine;
  uint32_t k = 10;
  size_t threads = 1;
};

struct LayerGrid {
  std::vector<std::string> layers;
  std::vector<uint32_t> dims;
  std::vector<std::vector<double>> recall;  // [layer][dims]: recall at k against the truth
  // [layer of the queries][layer of the documents], at full dimension.
  std::vector<std::vector<double>> cross;
};

// INVALID_ARGUMENT when layers differ in rows or dimensions, or there is none.
absl::StatusOr<LayerGrid> CompareLayers(const LayerGridInput& input, const ProgressFn& progress);

}  // namespace mrl::tune
