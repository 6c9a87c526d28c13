// What /metrics shows of collections that take writes: their log, their tail, their compaction.
#pragma once

#include <prometheus/metric_family.h>

#include <vector>

#include "server/registry.h"

namespace mrl::server {

// The families are there without any such collection too.
void CollectWrites(const Registry& registry, std::vector<prometheus::MetricFamily>* families);

}  // namespace mrl::server
