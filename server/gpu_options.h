// The configuration's words on GPUs as the options of a DeviceSet.
#pragma once

#include "absl/status/statusor.h"
#include "index/coarse/gpu/device_set.h"
#include "server/config.h"

namespace mrl::server {

// INVALID_ARGUMENT names the key, the value and what is needed.
absl::StatusOr<coarse::gpu::GpuOptions> GpuOptionsOf(const Config& config);

}  // namespace mrl::server
