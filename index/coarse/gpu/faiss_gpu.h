// Kind `faiss_gpu`: the index of kind `faiss` on a device.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "base/memory_account.h"
#include "index/coarse/coarse.h"
#include "index/coarse/faiss_index.h"
#include "index/coarse/gpu/batch_queue.h"
#include "index/coarse/gpu/faiss_runner.h"

namespace mrl::coarse::gpu {

// FAISS's side of one device: its resources, made at the first use, and the one queue that its GPU
// indexes share. Calls of FAISS on a device come one after the other: searches, copies, builds, and
// the end of an index. Once the device is lost FAISS is not called again, not even to destroy what
// it holds there: that would end the process. Thread-safe; outlives its indexes.
class FaissDevice {
 public:
  // What one call of a GPU index serves.
  struct Plan {
    FaissRunner* runner = nullptr;
    size_t fetch = 0;
    size_t nprobe = 0;
    bool operator==(const Plan&) const = default;
  };
  struct Item {
    const std::vector<float>* query = nullptr;
    std::vector<float> distances;  // `fetch` of them
    std::vector<int64_t> labels;
    absl::Status status;
  };

  FaissDevice(Device& device, MakeFaissResources make);
  ~FaissDevice();
  FaissDevice(const FaissDevice&) = delete;
  FaissDevice& operator=(const FaissDevice&) = delete;

  const Device& device() const { return device_; }
  // `bytes`: what the copy takes of the device, for as long as it lives. RESOURCE_EXHAUSTED where
  // there is no room, UNIMPLEMENTED for an index that has no GPU form and in builds without FAISS's
  // GPU classes.
  absl::StatusOr<std::unique_ptr<FaissRunner>> Copy(const FaissLibrary& library, uint64_t bytes,
                                                    FaissPrecision precision);
  // One batch at a time, of those who wait with the same plan.
  void Serve(const Plan& plan, const std::vector<Item*>& items);

 private:
  static constexpr size_t kBatchMax = 1024;
  static constexpr uint64_t kScratchBytesMax = uint64_t{512} << 20;

  absl::StatusOr<std::unique_ptr<FaissRunner>> CopyAlone(const FaissLibrary& library,
                                                         uint64_t bytes, FaissPrecision precision)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Prepare() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Device& device_;
  const MakeFaissResources make_;
  absl::Mutex mutex_;  // held in every call of FAISS
  MemoryAccount::Reservation scratch_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<FaissResources> resources_ ABSL_GUARDED_BY(mutex_);
  BatchQueue<Plan, Item> queue_;
};

// Distances are FAISS's own; the caller reranks what leaves a search. A search that keeps or probes
// more than kFaissKMax, or whose filter leaves too little of what a device returns, runs on the
// CPU, as does every search after a fault, except where devices are required.
class FaissGpu final : public CoarseIndex {
 public:
  struct Copy {
    std::unique_ptr<FaissRunner> runner;
    FaissDevice* device = nullptr;
  };
  // `index` is `*built`. `why_none`: why it has no copies, until Place.
  FaissGpu(std::shared_ptr<const CoarseIndex> built, const FaissIndex& index, bool required,
           std::string why_none);
  // As GpuScan::Place.
  void Place(std::vector<Copy> copies);

  absl::string_view kind() const override { return "faiss_gpu"; }
  std::string Describe() const override;
  uint32_t dims() const override { return index_.dims(); }
  uint64_t memory_bytes() const override { return 0; }
  Effort effort() const override { return index_.effort(); }
  absl::StatusOr<Result> Search(const Request& request) const override;
  Results SearchTile(absl::Span<const Request> requests) const override;
  absl::Status Estimate(const float* query, Code code, absl::Span<const uint32_t> rows,
                        float* scores) const override {
    return index_.Estimate(query, code, rows, scores);
  }

 private:
  struct Replica {
    std::unique_ptr<FaissRunner> runner;
    FaissDevice* device = nullptr;
    std::atomic<uint32_t> waiting = 0;
    std::atomic<bool> broken = false;  // FAISS refused a search that is none of the caller's faults
  };
  struct Asked;

  // None before Place.
  absl::Span<const std::unique_ptr<Replica>> replicas() const {
    return placed_ ? absl::MakeConstSpan(replicas_) : absl::Span<const std::unique_ptr<Replica>>();
  }
  Replica* Choose() const;
  // Why Choose has none.
  absl::Status Lost() const;
  absl::Status CheckRequest(const Request& request) const;
  // Rounds of searches that fetch more, for those whose filter left too few; what is not answered
  // afterwards is the CPU's.
  void RunRounds(Replica& replica, std::vector<Asked>& asked) const;
  void RunRound(Replica& replica, size_t fetch, size_t nprobe,
                const std::vector<Asked*>& asked) const;

  const std::shared_ptr<const CoarseIndex> built_;
  const FaissIndex& index_;
  const bool required_;
  const std::string why_none_;
  std::vector<std::unique_ptr<Replica>> replicas_;  // constant once placed_
  std::atomic<bool> placed_ = false;
};

}  // namespace mrl::coarse::gpu
