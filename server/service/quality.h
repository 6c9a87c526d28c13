// The operations of FunnelService: how good a funnel is, which is the cheapest that is good enough,
// and what prefixes are worth.
#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"
#include "index/funnel/profile.h"
#include "mrl/v1/funnel.pb.h"
#include "server/operations/operations.h"
#include "server/registry.h"

namespace mrl::server {

// MeasureRecall, TuneFunnel, AnalyzeDimensions. The registry outlives them.
std::map<std::string, Operations::Runner> MakeQualityRunners(Registry& registry);

// What can be said of a request before it runs: INVALID_ARGUMENT names the field and its limits,
// NOT_FOUND what does not exist, FAILED_PRECONDITION a collection without points.
absl::Status CheckRequest(const Registry& registry, const v1::MeasureRecallRequest& request);
absl::Status CheckRequest(const Registry& registry, const v1::TuneFunnelRequest& request);
absl::Status CheckRequest(const Registry& registry, const v1::AnalyzeDimensionsRequest& request);

// `sequence` is the collection's now.
void ToProto(const funnel::Certificate& certificate, uint64_t sequence, v1::Certificate* out);

}  // namespace mrl::server
