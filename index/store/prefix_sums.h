// Sums along rows as they stand at each step of a ladder, of four rows at once: the sum of a row
// waits for its last addition, those of its neighbours do not. Each adds from left to right, so
// that it has the same bits however many rows are asked for.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"

namespace mrl::store {

inline constexpr size_t kRowsAtOnce = 4;

// `rows`: 1 to kRowsAtOnce, each as long as the last step. `sums`: for each row one per step.
// `term` makes a double of a value.
template <typename Term>
void PrefixSums(absl::Span<const uint32_t> steps, absl::Span<const float* const> rows,
                const Term& term, double* sums) {
  const auto row = [&](size_t r) { return rows[r < rows.size() ? r : 0]; };
  const float* const x[kRowsAtOnce] = {row(0), row(1), row(2), row(3)};
  double a = 0;
  double b = 0;
  double c = 0;
  double d = 0;
  uint32_t i = 0;
  for (size_t step = 0; step < steps.size(); ++step) {
    for (; i < steps[step]; ++i) {
      a += term(x[0][i]);
      b += term(x[1][i]);
      c += term(x[2][i]);
      d += term(x[3][i]);
    }
    const double at_step[kRowsAtOnce] = {a, b, c, d};
    for (size_t r = 0; r < rows.size(); ++r) sums[r * steps.size() + step] = at_step[r];
  }
}

inline double Square(float value) { return static_cast<double>(value) * value; }

}  // namespace mrl::store
