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

// The schema's transform of the `n` floats at `x` into `out`, which may be `x`. n is schema.dim,
// and with kNone the length of any prefix. `mean` and `deviation`, which may be null, are set by
// kLayerNorm only.
void Apply(const Schema& schema, const float* x, size_t n, float* out, float* mean = nullptr,
           float* deviation = nullptr);

// The vector as it was written, to the precision it is stored in, from schema.dim transformed
// floats at `x`, in place. `mean_deviation`: two floats, read with kLayerNorm only.
void Undo(const Schema& schema, const float* mean_deviation, float* x);

}  // namespace mrl::transform
