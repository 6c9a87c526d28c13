// One batch of queries on one segment of a device, from the scan to the last stage it can run.
//
// The scan's thresholds come from a sample of blocks: what a rank somewhat above the expected one
// reaches there. A threshold that let too few rows through, or more than the list holds, is
// corrected by what was found and the scan is run again, so that the result is exact whatever the
// order of rows; with rows in random order about one batch in some thousands is.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "index/coarse/coarse.h"
#include "index/coarse/gpu/device_segment.h"
#include "index/coarse/gpu/workspace.h"

namespace mrl::coarse::gpu {

// What the queries of a batch share. dims, bits and keep are as Request and LaterStage say.
struct BatchPlan {
  std::vector<LaterStage> stages = {};  // the first is the scan; those that the device can run
  bool cut_last = true;                 // false: the last stage is scored and not cut
  const uint64_t* allowed = nullptr;    // bitmap over rows; null = all
  bool operator==(const BatchPlan&) const = default;
};

// How many of `stages` (the first one included) a device with this segment can run; 0 when not even
// the scan: no codes serve it, or a query is too long for the scan's shared memory.
size_t StagesOnDevice(const DeviceSegment& segment, absl::Span<const LaterStage> stages);

// The most queries that one of `places` batches at a time may have, for memory's sake; at least 1.
uint32_t BatchMax(const DeviceSegment& segment, const BatchPlan& plan, size_t places);

// The blocks that thresholds come from. None for small segments, whose lists hold every row.
struct SamplePlan {
  uint32_t blocks = 0;
  uint32_t step = 1;
  uint32_t rank = 0;      // of the sampled row whose key becomes the threshold
  uint32_t capacity = 0;  // of a list
};
SamplePlan PlanSample(uint32_t rows, uint32_t keep);

// Each query's Result, or nothing where the CPU has to answer: bounds too wide, or magnitudes
// outside of the range where bounds hold. Fails as a whole when the device does.
absl::StatusOr<std::vector<std::optional<Result>>> RunBatch(Workspace& workspace,
                                                            const DeviceSegment& segment,
                                                            const BatchPlan& plan,
                                                            absl::Span<const float* const> queries);

}  // namespace mrl::coarse::gpu
