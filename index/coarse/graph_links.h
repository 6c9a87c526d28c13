// Links the rows of a graph: FAISS does it, by Hamming distance.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/coarse/index_spec.h"

namespace mrl::coarse {

// `words`: rows x row_words. For each row up to `degree` (even) links, as GraphLinks has them.
// CANCELLED when it was stopped.
absl::StatusOr<std::vector<uint32_t>> LinkRows(absl::Span<const uint64_t> words, size_t row_words,
                                               uint32_t degree, const BuildContext& context);

}  // namespace mrl::coarse
