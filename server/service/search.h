// One query from request to reply.
#pragma once

#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "mrl/v1/search.pb.h"
#include "server/registry.h"
#include "server/rpc/call.h"
#include "server/rpc/joined_call.h"
#include "server/service/exits.h"
#include "server/service/keeps.h"
#include "server/service/shadow.h"

namespace mrl::server {

using JoinedSearch = Joined<v1::SearchRequest, v1::SearchResponse>;

// What searches know beside their request. All of it outlives them.
struct SearchContext {
  const Registry& registry;
  Shadow& shadow;
  Exits& exits;
  Keeps& keeps;
};

// Searches that were at hand at the same time; those of one collection and plan run as one tile.
// Those that a shadow profile is due for go to it with their answers.
void RunSearches(const SearchContext& context, absl::Span<JoinedSearch> calls);

absl::Status RunExplain(const Registry& registry, Call& call,
                        const v1::ExplainSearchRequest& request,
                        v1::ExplainSearchResponse* response);

// `tell` gets the best hits after each stage, and last what Search would have returned.
absl::Status RunProgressive(const Registry& registry, Call& call, const v1::SearchRequest& request,
                            const std::function<void(v1::ProgressiveSearchResponse)>& tell);

}  // namespace mrl::server
