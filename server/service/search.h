// One query from request to reply, and a batch of them as a source of chunks.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "mrl/v1/search.pb.h"
#include "server/registry.h"
#include "server/rpc/call.h"

namespace mrl::server {

// `why_not` may be null; `why_not_ids` are followed into it.
absl::Status RunSearch(const Registry& registry, Call& call, const v1::SearchRequest& request,
                       absl::Span<const PointId> why_not_ids, std::vector<funnel::WhyNot>* why_not,
                       v1::SearchResponse* response);

// `request` outlives the source. Everything that can be wrong with the request as a whole is
// refused here; a row with NaN is refused when its turn comes, and named.
absl::StatusOr<std::unique_ptr<ChunkSource<v1::BatchSearchResponse>>> OpenBatch(
    const Registry& registry, const v1::BatchSearchRequest& request);

}  // namespace mrl::server
