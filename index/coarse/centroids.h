// The centres of a partition, and which of them lie nearest to a vector.
//
// Centres are trained on one prefix d_c; every shorter ladder prefix of them can be asked instead,
// so that a query may choose its clustering dimension without a rebuild (AdANNS-IVF-D, "AdANNS: A
// Framework for Adaptive Semantic Search", NeurIPS 2023, section 4.1).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/coarse/index_spec.h"
#include "index/coarse/int8_search.h"
#include "index/schema/schema.h"

namespace mrl::coarse {

// Thread-safe: constant. Distances are those of 8-bit codes, whose errors are far below the
// differences that matter between lists.
class Centroids {
 public:
  // `vectors`: count x dims floats; dims is on the ladder. Keeps codes only, which compare by
  // `metric`. RESOURCE_EXHAUSTED where they find no memory.
  static absl::StatusOr<Centroids> Make(const Schema& schema, Metric metric, uint32_t dims,
                                        absl::Span<const float> vectors);
  static uint64_t MemoryBytes(const Schema& schema, uint32_t dims, uint64_t count);

  uint32_t count() const { return prefixes_.back().rows; }
  uint32_t dims() const { return prefixes_.back().code.dims; }
  // The `wanted` (1 to count()) nearest by the prefix `dims`, a ladder step up to dims(), nearest
  // first. `query` as it is stored, not normalised.
  std::vector<uint32_t> Nearest(const float* query, uint32_t dims, uint32_t wanted) const;
  // The nearest of each of up to kernels::kTileMax vectors at dims().
  void AssignTile(absl::Span<const float* const> vectors, uint32_t* nearest) const;
  // Bytes that Nearest reads.
  uint64_t BytesAt(uint32_t dims) const;

 private:
  const CodeArray& At(uint32_t dims) const;

  Metric metric_ = Metric::kCosine;
  std::vector<CodeArray> prefixes_;  // of each ladder step up to dims(), 8 bits
};

// How rows are dealt to lists. Under INNER_PRODUCT by distance: by product, long centres would draw
// all rows to themselves. A query ranks lists by the schema's own metric.
inline Metric MetricOfLists(Metric metric) {
  return metric == Metric::kCosine ? Metric::kCosine : Metric::kL2;
}

// Writes the first dims() floats of a row; called from all threads.
using ReadRow = std::function<absl::Status(uint32_t, float*)>;
// The nearest centre of rows [0, rows). CANCELLED when it was stopped, or the error of `read`.
absl::StatusOr<std::vector<uint32_t>> AssignAll(const Centroids& centroids, uint32_t rows,
                                                const BuildContext& context, const ReadRow& read);

// k-means (Lloyd's algorithm as faiss::Clustering runs it; under COSINE spherical) on
// `vectors`, count x dims floats, as they are stored. Returns lists x dims floats.
// INVALID_ARGUMENT for fewer vectors than lists; RESOURCE_EXHAUSTED out of memory; CANCELLED when
// it was stopped. The same vectors give the same centres on any number of threads.
absl::StatusOr<std::vector<float>> TrainCentroids(const Schema& schema, uint32_t dims,
                                                  uint32_t lists, const BuildContext& context,
                                                  std::vector<float> vectors);

}  // namespace mrl::coarse
