// FAISS behind plain values: its headers, types and exceptions stay in faiss_library.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/coarse/coarse.h"
#include "index/coarse/shortlist.h"
#include "index/schema/schema.h"

namespace faiss {
struct Index;
}

namespace mrl::coarse {

// One FAISS index. FAISS's own threads are held to one around every call but Train and Add, so that
// results do not depend on the machine and workers do not multiply. Search is thread-safe, the rest
// is not.
class FaissLibrary {
 public:
  // INVALID_ARGUMENT, with FAISS's own words, for a factory string it cannot make. Of some strings
  // (graphs over product quantisers, LSH) FAISS makes indexes for L2 alone: under cosine they are
  // taken, because unit vectors that are near are near by both.
  static absl::StatusOr<std::unique_ptr<FaissLibrary>> Make(const std::string& factory,
                                                            uint32_t dims, Metric metric);
  // Bytes that Serialise gave, unchanged. DATA_LOSS when FAISS cannot read them.
  static absl::StatusOr<std::unique_ptr<FaissLibrary>> Parse(std::vector<uint8_t> bytes);
  // Takes `index` over.
  static std::unique_ptr<FaissLibrary> Adopt(std::unique_ptr<faiss::Index> index);
  ~FaissLibrary();

  uint32_t dims() const;
  uint64_t rows() const;
  bool inner_product() const;
  // Whether it was made for vectors of this metric.
  bool Serves(Metric metric) const;
  // The score of a key that Search gave.
  float ScoreOf(Metric metric, float key) const;
  bool needs_training() const;
  // For those who copy it to a device.
  const faiss::Index& index() const;
  // What FAISS makes of it on a device. A copy of a kNone would be refused, or be another index.
  enum class GpuForm : uint8_t { kNone, kFlat, kLists };
  GpuForm gpu_form() const;
  // Named parameters of a query that this index knows, in order.
  std::vector<std::string> param_names() const;

  // On up to `threads` threads. A graph that is filled by several has other links each time.
  absl::Status Train(absl::Span<const float> vectors, uint32_t threads = 1);
  absl::Status Add(absl::Span<const float> vectors, uint32_t threads = 1);
  absl::StatusOr<std::vector<uint8_t>> Serialise() const;

  struct Found {
    std::vector<KeyedRow> rows;  // in no order that may be relied on; at most `keep`
    uint64_t rows_scanned = 0;   // expected, where FAISS keeps no count
  };
  // INVALID_ARGUMENT for parameters it does not know or out of range.
  absl::Status CheckParams(const Params& params) const;
  // Where it takes nprobe: what a search with these parameters probes; else 0.
  size_t Nprobe(const Params& params) const;
  // As Found has it, of one search of `keep` rows.
  uint64_t RowsScanned(const Params& params, size_t keep) const;
  // As CheckParams. `query` as it was built for
  // (normalised for cosine). `allowed`: by FAISS's selector where it can, by fetching more where
  // not.
  absl::StatusOr<Found> Search(const float* query, size_t keep, const uint64_t* allowed,
                               const Params& params) const;

 private:
  class Impl;
  explicit FaissLibrary(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace mrl::coarse
