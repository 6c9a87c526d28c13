#include "index/transform/transform.h"

#include <cmath>
#include <cstring>

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

void UndoLayerNorm(const float* x, size_t n, float mean, float deviation, float* out) {
  for (size_t i = 0; i < n; ++i) {
    out[i] = static_cast<float>(static_cast<double>(x[i]) * deviation + mean);
  }
}

void Apply(Transform transform, const float* x, size_t n, float* out) {
  if (transform == Transform::kLayerNorm) {
    LayerNorm(x, n, out, nullptr, nullptr);
  } else if (out != x) {
    std::memcpy(out, x, n * sizeof(float));
  }
}

}  // namespace mrl::transform
