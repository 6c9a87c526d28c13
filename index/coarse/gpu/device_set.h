// The devices of a process, and what is put on them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "index/coarse/coarse.h"
#include "index/coarse/gpu/faiss_gpu.h"
#include "index/coarse/gpu/gpu_scan.h"
#include "index/coarse/gpu/runtime.h"
#include "index/coarse/gpu/workspace.h"

namespace mrl::coarse::gpu {

enum class GpuMode : uint8_t {
  kOff,      // no device is looked for, the GPU kinds are unknown
  kAuto,     // devices are used where there are any; without one the CPU answers
  kRequire,  // no device, or one that fails, is an error
};
// "off", "auto", "require"; INVALID_ARGUMENT lists them.
absl::StatusOr<GpuMode> ParseGpuMode(absl::string_view text);
absl::string_view ToString(GpuMode mode);

struct GpuOptions {
  GpuMode mode = GpuMode::kAuto;
  std::vector<int> devices = {};  // numbers of CUDA devices; empty = all
  uint64_t memory_bytes = 0;  // of each device that may be taken; 0 = nine tenths of what is free
  uint32_t replicas = 1;      // devices that get a copy of each segment; at most one each
  bool float16 = false;       // FAISS keeps vectors of Flat, tables of IVFPQ in half precision
  uint32_t batches = 2;       // that run on a device at a time
  // Called once for each device that is lost, by the thread whose call failed; may be empty.
  std::function<void(const std::string&)> warn = {};
};

// What was found: one Device for each that was asked for and could be opened.
struct CudaDevices {
  std::vector<std::unique_ptr<Device>> devices;
  std::string why_not;  // why there is none, or why those that are left out could not be opened
};

// Thread-safe. Outlives what was made with it.
class DeviceSet {
 public:
  // Looks for CUDA devices. With kAuto it succeeds without any; with kRequire FAILED_PRECONDITION
  // says why there is none, or why one could not be opened. INVALID_ARGUMENT for a number that no
  // device has.
  static absl::StatusOr<std::shared_ptr<DeviceSet>> Open(const GpuOptions& options);
  // As Open, of what was found.
  static absl::StatusOr<std::shared_ptr<DeviceSet>> Of(CudaDevices found,
                                                       const GpuOptions& options);
  // Of these devices; `why_not` as in CudaDevices.
  DeviceSet(std::vector<std::unique_ptr<Device>> devices, const GpuOptions& options,
            std::string why_not);

  const GpuOptions& options() const { return options_; }
  size_t size() const { return devices_.size(); }
  // "0: NVIDIA H100 80GB HBM3 (9.0, 81559 MiB)", or "none: no CUDA driver is loaded"; with what
  // became of devices that were lost or left out.
  std::string report() const;
  // What is taken of all devices' memory, and may be.
  uint64_t used_bytes() const;
  uint64_t limit_bytes() const;
  Device& device(size_t number) const { return *devices_[number]; }
  WorkspacePool& workspaces(size_t number) const { return *pools_[number]; }

  // The kind that devices add to a built one: "gpu_scan" to "scan", "faiss_gpu" to "faiss"; "" when
  // GPUs are off.
  absl::string_view KindFor(absl::string_view built) const;
  // The index of KindFor beside `built`, which has such a kind.
  absl::StatusOr<std::shared_ptr<const CoarseIndex>> Make(std::shared_ptr<const CoarseIndex> built);

  // Kind `gpu_scan` beside a segment's `scan`: copies on `replicas` devices, those with the most
  // room. Where no device takes it, the CPU answers for the kind, or, with kRequire, the error says
  // why not.
  absl::StatusOr<std::shared_ptr<const CoarseIndex>> MakeScan(
      std::shared_ptr<const CoarseIndex> scan);
  // Kind `faiss_gpu` beside a segment's `faiss`, as MakeScan. The CPU answers for an index that has
  // no GPU form and in builds without FAISS's GPU classes, with kRequire too.
  absl::StatusOr<std::shared_ptr<const CoarseIndex>> MakeFaiss(
      std::shared_ptr<const CoarseIndex> faiss);
  // Once more for those indexes that found no room, if memory was given back since: a merged
  // segment is made while the segments it takes the place of are still there. For a thread that may
  // take its time; searches go on.
  void PlaceAgain();
  // An index to be trained and filled on the device with the most room, of which it will take
  // `bytes`. In full precision, whatever the options say of searches. FAILED_PRECONDITION without a
  // device; else as FaissDevice::Copy.
  absl::StatusOr<std::unique_ptr<FaissRunner>> Build(const FaissLibrary& empty, uint64_t bytes);

  // For tests: what makes FAISS's side of a device.
  void UseFaiss(const MakeFaissResources& make);

 private:
  // Those that are not lost, by falling room.
  std::vector<size_t> ByRoom() const;
  // Why ByRoom has none.
  absl::Status NoDevice() const;
  // At least one copy.
  absl::StatusOr<std::vector<GpuScan::Copy>> Copy(const ScanIndex& codes);
  absl::StatusOr<std::vector<FaissGpu::Copy>> Copy(const FaissIndex& index);
  // `of` is `*built`. Where there are no copies yet, PlaceAgain makes them if it may help.
  template <typename Index, typename Built>
  std::shared_ptr<Index> MakeOnDevices(std::shared_ptr<const CoarseIndex> built, const Built* of,
                                       absl::StatusOr<std::vector<typename Index::Copy>> copies);
  bool required() const { return options_.mode == GpuMode::kRequire; }
  uint64_t given_back() const;  // of all devices
  // Leaves `attempt` to PlaceAgain where it may help; it is true when there is no more to try.
  void TryAgain(const absl::Status& refused, std::function<bool()> attempt);

  const GpuOptions options_;
  const std::string why_not_;
  const std::vector<std::unique_ptr<Device>> devices_;
  std::vector<std::unique_ptr<WorkspacePool>> pools_;  // beside devices_
  std::vector<std::unique_ptr<FaissDevice>> faiss_;    // beside devices_
  absl::Mutex mutex_;
  std::vector<std::function<bool()>> attempts_ ABSL_GUARDED_BY(mutex_);
  uint64_t given_back_ ABSL_GUARDED_BY(mutex_) = 0;  // when they were last tried
};

// In cuda_runtime.cu, or in no_cuda.cc where the build has no CUDA.
absl::StatusOr<CudaDevices> OpenCudaDevices(const GpuOptions& options);
}  // namespace mrl::coarse::gpu
