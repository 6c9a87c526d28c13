// What /metrics shows of the quality of searches: certificates of profiles, shadow profiles, early
// exits, adaptive keeps.
#pragma once

#include <prometheus/metric_family.h>

#include <vector>

#include "server/registry.h"
#include "server/service/exits.h"
#include "server/service/keeps.h"
#include "server/service/shadow.h"

namespace mrl::server {

void CollectQuality(const Registry& registry, const Shadow& shadow, const Exits& exits,
                    const Keeps& keeps, std::vector<prometheus::MetricFamily>* families);

}  // namespace mrl::server
