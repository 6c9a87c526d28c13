#include "index/funnel/cut.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <utility>

#include "base/check.h"

namespace mrl::funnel {
namespace {

// Bins of keys by sign, exponent and the first four bits of the mantissa: cosines that a stage
// compares spread over some dozens.
constexpr uint32_t kBinBits = 13;
constexpr size_t kBins = size_t{1} << kBinBits;
constexpr size_t kBinnedMin = 512;  // with fewer keys the bins cost more than they save

// The bin of a key; larger keys have smaller bins. Both zeros fall together.
uint32_t BinOf(float key) {
  const auto bits = std::bit_cast<uint32_t>(key + 0.0F);
  const uint32_t ascending = (bits >> 31) != 0 ? ~bits : bits | 0x80000000U;
  return ~ascending >> (32 - kBinBits);
}

float Select(std::vector<float> keys, size_t rank) {
  const auto wanted = keys.begin() + static_cast<ptrdiff_t>(rank - 1);
  std::nth_element(keys.begin(), wanted, keys.end(), std::greater<>());
  return *wanted;
}

}  // namespace

// A histogram finds the bin that holds the rank, so that only its few keys are selected from.
float KeyOfRank(absl::Span<const float> keys, size_t rank) {
  CHECK(rank >= 1 && rank <= keys.size());
  if (keys.size() < kBinnedMin) return Select({keys.begin(), keys.end()}, rank);
  std::array<uint32_t, kBins> counts = {};
  uint32_t bin = kBins - 1;
  for (const float key : keys) {
    const uint32_t of_key = BinOf(key);
    bin = std::min(bin, of_key);
    ++counts[of_key];
  }
  size_t before = 0;
  while (before + counts[bin] < rank) before += counts[bin++];
  std::vector<float> within;
  within.reserve(counts[bin]);
  for (const float key : keys) {
    if (BinOf(key) == bin) within.push_back(key);
  }
  return Select(std::move(within), rank - before);
}

double SlackUnit(Metric metric, absl::Span<const float> query) {
  if (metric != Metric::kInnerProduct) return 1;
  double squares = 0;
  for (const float value : query) squares += static_cast<double>(value) * value;
  return std::sqrt(squares);
}

size_t LeaveOutBehind(std::vector<Shortlisted>& candidates, size_t k, double distance) {
  if (candidates.size() <= k) return 0;
  std::vector<float> keys(candidates.size());
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = candidates[i].key;
  const double of_k = KeyOfRank(keys, k);
  return std::erase_if(candidates, [of_k, distance](const Shortlisted& candidate) {
    return of_k - candidate.key > distance;
  });
}

}  // namespace mrl::funnel
