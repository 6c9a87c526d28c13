#include "index/coarse/faiss_rows.h"

#include <cmath>

#include "base/status.h"
#include "index/kernels/squares.h"

namespace mrl::coarse {

void Normalise(float* x, size_t n) {
  const double squares = kernels::SumOfSquares(x, n);
  if (squares == 0) return;
  const double factor = 1 / std::sqrt(squares);
  for (size_t i = 0; i < n; ++i) x[i] = static_cast<float>(x[i] * factor);
}

absl::StatusOr<std::vector<float>> FaissRows(const store::Segment& segment, size_t level,
                                             uint64_t first, uint64_t stride, uint64_t count) {
  const size_t dims = segment.schema().ladder[level];
  std::vector<float> vectors(count * dims);
  if (stride == 1) {
    MRL_RETURN_IF_ERROR(segment.FetchRange(0, level, static_cast<uint32_t>(first),
                                           static_cast<uint32_t>(first + count)));
  }
  for (uint64_t i = 0; i < count; ++i) {
    float* out = vectors.data() + i * dims;
    MRL_RETURN_IF_ERROR(segment.Prefix(static_cast<uint32_t>(first + i * stride), level, out));
    if (segment.schema().metric == Metric::kCosine) Normalise(out, dims);
  }
  return vectors;
}

}  // namespace mrl::coarse
