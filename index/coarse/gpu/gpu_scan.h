// Kind `gpu_scan`: the codes of `scan` on a device, and the stages after it.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "index/coarse/coarse.h"
#include "index/coarse/gpu/batch.h"
#include "index/coarse/gpu/batch_queue.h"
#include "index/coarse/gpu/device_segment.h"
#include "index/coarse/gpu/workspace.h"
#include "index/coarse/scan_index.h"

namespace mrl::coarse::gpu {

// Finds what `scan` finds: codes give the same integers, so the same rows, whatever ties; stages on
// stored values give the sums of the scalar kernels, which differ from the CPU's by rounding.
// Queries that come together run as one batch. What a device cannot do (no room, bounds that tell
// no rows apart, a fault) is done by the CPU, except where devices are required.
class GpuScan final : public CoarseIndex {
 public:
  struct Copy {
    std::unique_ptr<const DeviceSegment> segment;
    WorkspacePool* workspaces = nullptr;
  };
  // `codes` is `*scan`. `why_none`: why it has no copies, until Place.
  GpuScan(std::shared_ptr<const CoarseIndex> scan, const ScanIndex& codes, bool required,
          std::string why_none);
  // Searches run on these, at least one, from now on. May be called once, at any time.
  void Place(std::vector<Copy> copies);

  // Batches that its devices ran, and the requests in them.
  std::pair<size_t, size_t> served() const;
  // Requests that no batch has taken yet.
  size_t queued() const;

  absl::string_view kind() const override { return "gpu_scan"; }
  std::string Describe() const override;
  uint32_t dims() const override { return 0; }
  // Of the host: none. Device memory is in the device's own account.
  uint64_t memory_bytes() const override { return 0; }
  absl::StatusOr<Result> Search(const Request& request) const override;
  Results SearchTile(absl::Span<const Request> requests) const override;
  absl::Status Estimate(const float* query, Code code, absl::Span<const uint32_t> rows,
                        float* scores) const override {
    return codes_.Estimate(query, code, rows, scores);
  }

 private:
  struct Item {
    const Request* request = nullptr;
    absl::StatusOr<std::optional<Result>> answer = std::optional<Result>();
  };
  using Queue = BatchQueue<BatchPlan, Item>;
  struct Replica {
    std::unique_ptr<const DeviceSegment> segment;
    WorkspacePool* workspaces;
    std::unique_ptr<Queue> queue;
    std::atomic<uint32_t> waiting = 0;  // requests
  };

  // None before Place.
  absl::Span<const std::unique_ptr<Replica>> replicas() const {
    return placed_ ? absl::MakeConstSpan(replicas_) : absl::Span<const std::unique_ptr<Replica>>();
  }
  // What the device does of a request; nothing where it does nothing.
  std::optional<BatchPlan> PlanOf(const Request& request) const;
  // The replica that the fewest wait for, of those whose device is not lost; null without one.
  Replica* Choose() const;
  void RunOn(Replica& replica, const BatchPlan& plan, const std::vector<Item*>& items) const;
  absl::StatusOr<Result> Answer(Item& item) const;
  absl::StatusOr<Result> OnCpu(const Request& request, const absl::Status& why) const;

  const std::shared_ptr<const CoarseIndex> scan_;
  const ScanIndex& codes_;
  const bool required_;
  const std::string why_none_;
  std::vector<std::unique_ptr<Replica>> replicas_;  // constant once placed_
  std::atomic<bool> placed_ = false;
};

}  // namespace mrl::coarse::gpu
