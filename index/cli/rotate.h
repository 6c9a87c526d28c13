// The rotation of `mrl-index build --rotate pca`.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "index/io/embeddings.h"
#include "index/schema/schema.h"

namespace mrl::cli {

// Rows that a rotation of `rows` rows is learned from: 128 MB of floats, and `dim` at least.
uint64_t RotationSampleRows(uint64_t rows, uint32_t dim);

// Learns a rotation from a sample of the first `rows` rows of `readers` (RotationSampleRows,
// spread over all of them) and gives it to the schema, which is valid and has no transform. Rows
// with NaN or infinities are left out. INVALID_ARGUMENT for fewer rows than dimensions, and, unless
// `force`, FAILED_PRECONDITION for vectors whose prefixes are useful as they are: a rotation would
// spoil what a model was trained for.
absl::Status Rotate(const std::vector<std::unique_ptr<io::EmbeddingReader>>& readers, uint64_t rows,
                    bool force, Schema* schema);

}  // namespace mrl::cli
