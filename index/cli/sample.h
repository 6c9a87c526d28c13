// A sample of vectors in memory, from a file or an index.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "index/cli/open_index.h"
#include "index/schema/schema.h"
#include "index/tune/prefix_scorer.h"

namespace mrl::cli {

struct Sample {
  std::vector<float> values;  // row-major
  size_t rows = 0;
  uint32_t dim = 0;
  uint64_t rows_of_source = 0;
  uint32_t element_bytes = 4;  // of the source
  tune::Matrix matrix() const { return {values.data(), rows, dim}; }
};

// `count` of `rows` numbers, increasing and spread over all; all of them where there are no more.
// The same for the same seed.
std::vector<uint64_t> SpreadRows(uint64_t rows, uint64_t count, uint64_t seed);

// Rows of an embedding file, the schema's transform applied. Its dim is looked at only with a
// rotation: INVALID_ARGUMENT for a file of another.
absl::StatusOr<Sample> SampleFile(const std::string& path, uint64_t count, uint64_t seed,
                                  const Schema& schema);
// Rows of a collection as they are stored, transformed already.
absl::StatusOr<Sample> SampleIndex(const collection::Collection& collection, uint64_t count,
                                   uint64_t seed);
// Rows `rows` of a sample.
Sample PickRows(const Sample& from, const std::vector<uint64_t>& rows);

}  // namespace mrl::cli
