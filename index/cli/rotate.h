// The rotation of `mrl-index build --rotate pca`.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "index/io/embeddings.h"
#include "index/schema/schema.h"

namespace mrl::cli {

// Learns a rotation from a sample of the first `rows` rows of `readers` (128 MB of floats, spread
// over all of them) and gives it to the schema, which is valid and has no transform. Rows with NaN
// or infinities are left out. INVALID_ARGUMENT for fewer rows than dimensions, and, unless `force`,
// FAILED_PRECONDITION for vectors whose prefixes are useful as they are: a rotation would spoil
// what a model was trained for.
absl::Status Rotate(const std::vector<std::unique_ptr<io::EmbeddingReader>>& readers, uint64_t rows,
                    bool force, Schema* schema);

}  // namespace mrl::cli
