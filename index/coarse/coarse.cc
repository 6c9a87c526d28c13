#include "index/coarse/coarse.h"

namespace mrl::coarse {

Results CoarseIndex::SearchTile(absl::Span<const Request> requests) const {
  Results results;
  results.reserve(requests.size());
  for (const Request& request : requests) results.push_back(Search(request));
  return results;
}

}  // namespace mrl::coarse
