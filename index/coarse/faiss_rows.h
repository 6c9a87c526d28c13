// A segment's rows as FAISS gets them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "index/store/segment.h"

namespace mrl::coarse {

// Scales a prefix to unit length; a zero prefix stays.
void Normalise(float* x, size_t n);

// `count` rows from `first` on, `stride` apart, row-major: their prefixes at `level`, normalised
// where the metric is cosine. DATA_LOSS as of Segment::Prefix.
absl::StatusOr<std::vector<float>> FaissRows(const store::Segment& segment, size_t level,
                                             uint64_t first, uint64_t stride, uint64_t count);

}  // namespace mrl::coarse
