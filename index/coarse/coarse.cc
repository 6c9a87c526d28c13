#include "index/coarse/coarse.h"

namespace mrl::coarse {

std::vector<absl::StatusOr<Result>> CoarseIndex::SearchTile(
    absl::Span<const Request> requests) const {
  std::vector<absl::StatusOr<Result>> results;
  results.reserve(requests.size());
  for (const Request& request : requests) results.push_back(Search(request));
  return results;
}

}  // namespace mrl::coarse
