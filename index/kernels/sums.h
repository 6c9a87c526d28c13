// Sums over a row that sets whose registers hold one query have in common. The types that a set
// brings are in its unnamed namespace, so that each set has its own copy, compiled with its flags.
#pragma once

#include "index/kernels/kernels.h"

namespace mrl::kernels {

// `Row::Sum(q, x, n, term)` adds term of q[i] and x[i] up. `Dot` and `ScaledL2` are terms, the
// latter made from the scale of x.
template <typename Row, typename Dot, typename ScaledL2>
struct Sums {
  template <typename Term, typename Element>
  static float Of(const float* q, const Element* x, size_t n) {
    return Row::Sum(q, x, n, Term());
  }
  static float DotInt8(const float* q, const int8_t* x, float scale, size_t n) {
    return scale * Row::Sum(q, x, n, Dot());
  }
  static float L2Int8(const float* q, const int8_t* x, float scale, size_t n) {
    return Row::Sum(q, x, n, ScaledL2(scale));
  }
  static void Dots(const float* const* queries, size_t query_count, const float* const* rows,
                   size_t row_count, size_t n, float* sums) {
    for (size_t row = 0; row < row_count; ++row) {
      for (size_t q = 0; q < query_count; ++q) *sums++ += Row::Sum(queries[q], rows[row], n, Dot());
    }
  }
};

}  // namespace mrl::kernels
