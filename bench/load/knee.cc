#include "bench/load/knee.h"

#include <cmath>

namespace mrl::load {

double FindKnee(double start, double resolution, const std::function<bool(double)>& sustains) {
  constexpr double kStep = 1.5;
  double low = 0, high = 0;
  double rate = start;
  while (low == 0 || high == 0) {
    if (sustains(rate)) {
      low = rate;
      rate *= kStep;
    } else {
      high = rate;
      rate /= kStep;
    }
    if (low == 0 && rate < start / 1000) return 0;
  }
  while (high > low * (1 + resolution)) {
    const double middle = std::sqrt(low * high);
    (sustains(middle) ? low : high) = middle;
  }
  return low;
}

}  // namespace mrl::load
