// A batch of queries as a source of chunks.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "mrl/v1/search.pb.h"
#include "server/registry.h"
#include "server/rpc/call.h"

namespace mrl::server {

// `request` outlives the source. Everything that can be wrong with the request as a whole is
// refused here; a row with NaN is refused when its turn comes, and named.
absl::StatusOr<std::unique_ptr<ChunkSource<v1::BatchSearchResponse>>> OpenBatch(
    const Registry& registry, const v1::BatchSearchRequest& request);

}  // namespace mrl::server
