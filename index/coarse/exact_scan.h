// Every row of a segment scored at one prefix from the stored precision: the truth that the other
// searches are held against.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/parallel.h"
#include "index/coarse/level_scorer.h"
#include "index/coarse/shortlist.h"
#include "index/store/segment.h"

namespace mrl::coarse {

struct ExactRequest {
  const float* query = nullptr;  // transformed, not normalised
  size_t level = 0;
  size_t keep = 0;
  const uint64_t* allowed = nullptr;  // bitmap over rows; null = all
  const std::function<bool()>* stopped = nullptr;
};

// At least the best `keep` rows, all that tie with the last among them included, in no order.
// CANCELLED when stopped.
absl::StatusOr<std::vector<KeyedRow>> ExactScan(const store::Segment& segment,
                                                const ExactRequest& request,
                                                Parallel* helpers = nullptr);

// More than share a scan of codes: reading rows takes longer than reading codes.
inline constexpr size_t kExactTileMax = 64;
// The same for each of 1 to kExactTileMax requests of one level and the same allowed rows: rows
// are read once for all of them. `helpers`: idle threads that may take a share of the rows; may be
// null.
std::vector<absl::StatusOr<std::vector<KeyedRow>>> ExactScanTile(
    const store::Segment& segment, absl::Span<const ExactRequest> requests,
    Parallel* helpers = nullptr);

inline bool IsAllowed(const uint64_t* allowed, uint32_t row) {
  return allowed == nullptr || ((allowed[row / 64] >> (row % 64)) & 1) != 0;
}
// Rows of [0, rows) that take part.
uint64_t CountAllowed(const uint64_t* allowed, uint32_t rows);
inline bool IsStopped(const std::function<bool()>& stopped) { return stopped && stopped(); }

}  // namespace mrl::coarse
