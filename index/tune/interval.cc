#include "index/tune/interval.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "base/check.h"

namespace mrl::tune {
namespace {

double NormalCdf(double z) { return 0.5 * std::erfc(-z / std::sqrt(2.0)); }

// The inverse of NormalCdf by bisection: a handful of calls per interval.
double NormalQuantile(double share) {
  double low = -8;
  double high = 8;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (NormalCdf(middle) < share ? low : high) = middle;
  }
  return (low + high) / 2;
}

std::vector<double> SortedBootstrapMeans(absl::Span<const double> values,
                                         const IntervalOptions& options) {
  std::mt19937_64 engine(options.seed);
  std::vector<double> means(options.resamples);
  for (double& mean : means) {
    double sum = 0;
    for (size_t i = 0; i < values.size(); i += 2) {
      // 32 random bits times n, shifted back: uniform to n / 2^32. Two draws a number.
      const uint64_t bits = engine();
      sum += values[((bits >> 32) * values.size()) >> 32];
      if (i + 1 < values.size()) sum += values[((bits & 0xFFFFFFFFU) * values.size()) >> 32];
    }
    mean = sum / static_cast<double>(values.size());
  }
  std::sort(means.begin(), means.end());
  return means;
}

// Linear between the two means nearest to `share`.
double QuantileOf(const std::vector<double>& sorted, double share) {
  const double at = std::clamp(share, 0.0, 1.0) * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

// Skewness / (6 sqrt(n)), the acceleration of a mean.
double Acceleration(absl::Span<const double> values, double mean) {
  double squares = 0;
  double cubes = 0;
  for (const double value : values) {
    squares += (value - mean) * (value - mean);
    cubes += (value - mean) * (value - mean) * (value - mean);
  }
  return squares == 0 ? 0 : cubes / (6 * std::pow(squares, 1.5));
}

}  // namespace

double Mean(absl::Span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

double LowerMean(double sum, double squares, size_t count) {
  constexpr double kOneSided95 = 1.645;
  const auto number = static_cast<double>(count);
  const double mean = sum / number;
  const double variance = std::max(0.0, squares / number - mean * mean);
  return mean - kOneSided95 * std::sqrt(variance / number);
}

Interval MeanInterval(absl::Span<const double> values, const IntervalOptions& options) {
  CHECK(options.confidence > 0 && options.confidence < 1 && options.resamples > 0);
  if (values.empty()) return {0, 1};
  const double mean = Mean(values);
  const std::vector<double> means = SortedBootstrapMeans(values, options);
  const auto below = std::lower_bound(means.begin(), means.end(), mean - 1e-12) - means.begin();
  const auto up_to = std::upper_bound(means.begin(), means.end(), mean + 1e-12) - means.begin();
  const double resamples = static_cast<double>(means.size());
  const double share = static_cast<double>(below + up_to) / (2 * resamples);
  const double bias = NormalQuantile(std::clamp(share, 1 / resamples, 1 - 1 / resamples));
  const double acceleration = Acceleration(values, mean);
  const double tail = (1 - options.confidence) / 2;
  const auto end = [&](double z) {
    return QuantileOf(means, NormalCdf(bias + (bias + z) / (1 - acceleration * (bias + z))));
  };
  const double z = NormalQuantile(1 - tail);
  const double hidden = 1 - std::pow(tail, 1 / static_cast<double>(values.size()));
  return {std::max(0.0, std::min(end(-z), 1 - hidden * options.unit)), end(z)};
}

}  // namespace mrl::tune
