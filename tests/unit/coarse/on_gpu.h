// A sample's segment on devices that are the host, and what its search must agree with.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "index/coarse/coarse.h"
#include "index/coarse/gpu/device_set.h"
#include "tests/support/host_gpu.h"
#include "tests/unit/coarse/sample.h"

namespace mrl::test {

// Kind `gpu_scan` on one device, or several.
struct OnGpu {
  explicit OnGpu(const Sample& sample, const HostGpuOptions& options = {},
                 const coarse::gpu::GpuOptions& gpu = {}, size_t devices = 1);
  std::vector<HostGpu*> host;
  std::unique_ptr<coarse::gpu::DeviceSet> set;
  std::shared_ptr<const coarse::CoarseIndex> index;
};

using Found = std::vector<std::pair<uint32_t, float>>;  // row and score
Found ByRow(const coarse::Result& result);

// Both kinds find the same rows with the same scores.
void ExpectSame(const Sample& sample, const coarse::CoarseIndex& index,
                const coarse::Request& request);
// As ExpectSame for stored values, whose sums may differ by rounding: rank by rank, scores agree.
void ExpectSameStored(const Sample& sample, const coarse::CoarseIndex& index,
                      const coarse::Request& request);
// A search with these stages runs the first `stages_run` of them, and finds what the CPU finds when
// it runs them one after the other.
void ExpectFunnel(const Sample& sample, const coarse::CoarseIndex& index,
                  const std::vector<coarse::LaterStage>& stages, size_t stages_run);

}  // namespace mrl::test
