// The build without MRL_GPU: there are no devices, and it says so.
#include "index/coarse/gpu/device_set.h"

namespace mrl::coarse::gpu {

absl::StatusOr<CudaDevices> OpenCudaDevices(const GpuOptions&) {
  return CudaDevices{.devices = {}, .why_not = "this program was built without MRL_GPU"};
}

}  // namespace mrl::coarse::gpu
