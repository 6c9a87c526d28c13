#include "index/transform/transform.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "index/transform/rotation.h"

namespace mrl::transform {
namespace {

constexpr double kEpsilon = 1e-5;

}  // namespace

void LayerNorm(const float* x, size_t n, float* out, float* mean, float* deviation) {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += x[i];
  const double center = n == 0 ? 0 : sum / static_cast<double>(n);
  double squares = 0;
  for (size_t i = 0; i < n; ++i) squares += (x[i] - center) * (x[i] - center);
  const double variance = n == 0 ? 0 : squares / static_cast<double>(n);
  const double spread = std::sqrt(variance + kEpsilon);
  for (size_t i = 0; i < n; ++i) out[i] = static_cast<float>((x[i] - center) / spread);
  if (mean != nullptr) *mean = static_cast<float>(center);
  if (deviation != nullptr) *deviation = static_cast<float>(spread);
}

void Apply(const Schema& schema, const float* x, size_t n, float* out, float* mean,
           float* deviation) {
  switch (schema.transform) {
    case Transform::kNone:
      if (out != x) std::memcpy(out, x, n * sizeof(float));
      return;
    case Transform::kLayerNorm:
      LayerNorm(x, n, out, mean, deviation);
      return;
    case Transform::kRotation:
      Rotate(schema.rotation, x, n, out);
      return;
  }
}

void Undo(const Schema& schema, const float* mean_deviation, float* x) {
  switch (schema.transform) {
    case Transform::kNone:
      return;
    case Transform::kLayerNorm:
      for (size_t i = 0; i < schema.dim; ++i) x[i] = x[i] * mean_deviation[1] + mean_deviation[0];
      return;
    case Transform::kRotation:
      RotateBack(schema.rotation, schema.dim, x);
      return;
  }
}

}  // namespace mrl::transform
