// Rows with the same signs, which a walk cannot tell apart: a graph is made of one of each, since
// many rows at no distance from each other would be linked among themselves and to nothing else.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/coarse/graph.h"

namespace mrl::coarse {

class EqualRows {
 public:
  // Groups `rows` rows by their codes.
  EqualRows(const GraphCodes& codes, uint32_t rows);

  // The first row of each group, rising.
  absl::Span<const uint32_t> firsts() const { return firsts_; }
  // `codes` of the first rows alone.
  absl::StatusOr<GraphCodes> CodesOfFirsts(const GraphCodes& codes) const;
  // From links of the first rows, by their place in firsts(), those of all rows. A first row is
  // linked to some of its group, all others to it and to those of the group that follow.
  absl::StatusOr<GraphLinks> Expand(const GraphLinks& links) const;

 private:
  std::vector<uint32_t> firsts_;
  std::vector<uint32_t> first_of_;  // by row
  std::vector<uint32_t> next_;      // by row: the next of its group, the first behind the last
};

}  // namespace mrl::coarse
