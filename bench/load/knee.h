// Where a server's latency leaves the ground: the largest rate that it sustains.
#pragma once

#include <functional>

namespace mrl::load {

// `sustains(rate)` runs the rate and says whether the server kept up. Begins at `start` and goes up
// by half, or down, until one rate is sustained and the next is not, then halves the ratio between
// the two until it is below 1 + `resolution`. Returns the largest rate that was sustained; 0 when
// none above `start` / 1000 was.
double FindKnee(double start, double resolution, const std::function<bool(double)>& sustains);

}  // namespace mrl::load
