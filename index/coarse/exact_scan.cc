#include "index/coarse/exact_scan.h"

#include <algorithm>
#include <array>
#include <bit>

namespace mrl::coarse {
namespace {

// Rows scored together, level by level: each level is read in one forward run, and the sums of the
// rows stay in the first-level cache.
constexpr uint32_t kTileRows = 256;
constexpr uint32_t kTilesBetweenPolls = 16;

}  // namespace

absl::StatusOr<std::vector<KeyedRow>> ExactScan(const store::Segment& segment,
                                                const ExactRequest& request) {
  const LevelScorer scorer(segment, request.query, request.level);
  Shortlist best(request.keep);
  std::array<float, kTileRows> sums;
  std::array<uint32_t, kTileRows> rows;
  for (uint32_t begin = 0; begin < segment.rows(); begin += kTileRows) {
    if (begin / kTileRows % kTilesBetweenPolls == 0 && request.stopped != nullptr &&
        IsStopped(*request.stopped)) {
      return absl::CancelledError("the search was stopped while it scanned");
    }
    const uint32_t end = std::min(segment.rows(), begin + kTileRows);
    size_t count = 0;
    for (uint32_t row = begin; row < end; ++row) {
      if (IsAllowed(request.allowed, row)) rows[count++] = row;
    }
    sums.fill(0);
    for (size_t level = 0; level <= request.level; ++level) {
      for (size_t i = 0; i < count; ++i) sums[i] += scorer.LevelSum(rows[i], level);
    }
    for (size_t i = 0; i < count; ++i) {
      best.Offer(scorer.Key(rows[i], request.level, sums[i]), rows[i]);
    }
  }
  return best.Take();
}

uint64_t CountAllowed(const uint64_t* allowed, uint32_t rows) {
  if (allowed == nullptr) return rows;
  uint64_t count = 0;
  for (uint32_t word = 0; word < rows / 64; ++word) count += std::popcount(allowed[word]);
  if (rows % 64 != 0) {
    count += std::popcount(allowed[rows / 64] & ((uint64_t{1} << (rows % 64)) - 1));
  }
  return count;
}

}  // namespace mrl::coarse
