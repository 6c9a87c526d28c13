// Prefix transforms: what happens to a whole vector before it is sliced.
//
// Stored vectors are already transformed, and so are queries before they are scored: no score needs
// a correction. The mean and deviation of a row are kept only to give the vector back.
#pragma once

#include <cstddef>

#include "index/schema/schema.h"

namespace mrl::transform {

// out = (x - mean) / deviation with deviation = sqrt(variance + 1e-5), the variance over `n` and
// not n - 1, as PyTorch's layer_norm without affine weights. `out` may be `x`. `mean` and
// `deviation` may be null. n = 0 gives mean 0.
void LayerNorm(const float* x, size_t n, float* out, float* mean, float* deviation);

// x = out * deviation + mean: the vector as it was written, to the precision it is stored in.
void UndoLayerNorm(const float* x, size_t n, float mean, float deviation, float* out);

// `transform` of the `n` floats at `x` into `out`, which may be `x`.
void Apply(Transform transform, const float* x, size_t n, float* out);

}  // namespace mrl::transform
