// The CUDA runtime behind runtime.h: memory, streams, graphs, and the launches of our kernels.
//
// No call here ends the process: every CUDA error becomes a Status. The CUDA runtime is linked
// statically and loads the driver itself, so the program starts on machines without one.
#include <cuda_runtime.h>

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/status.h"
#include "index/coarse/gpu/device_set.h"
#include "index/coarse/gpu/runtime.h"

namespace mrl::coarse::gpu {
namespace {

// A block of threads on a device: what the kernels' logic is given.
class DeviceBlock {
 public:
  __device__ uint32_t x() const { return blockIdx.x; }
  __device__ uint32_t y() const { return blockIdx.y; }
  __device__ uint32_t x_count() const { return gridDim.x; }
  template <typename F>
  __device__ void Each(const F& f) const {
    f(threadIdx.x);
    __syncthreads();
  }
  __device__ uint32_t Add(uint32_t* at, uint32_t value) const { return atomicAdd(at, value); }
};

template <typename Kind, uint32_t kTile>
__global__ void __launch_bounds__(kThreads, 2) ScanKernel(ScanArgs args) {
  __shared__ ScanShared<kTile> shared;
  extern __shared__ __align__(16) uint32_t words[];
  DeviceBlock block;
  Scan<Kind, kTile>(block, args, shared, words);
}

__global__ void __launch_bounds__(kThreads) BoundKernel(BoundArgs args) {
  DeviceBlock block;
  LowerBounds(block, args);
}

__global__ void __launch_bounds__(kThreads) SelectKernel(SelectArgs args) {
  __shared__ SelectShared shared;
  DeviceBlock block;
  Select(block, args, shared);
}

__global__ void __launch_bounds__(kThreads) GatherStoredKernel(StoredArgs args) {
  __shared__ GatherShared shared;
  DeviceBlock block;
  GatherStored(block, args, shared);
}

__global__ void __launch_bounds__(kThreads) GatherCodesKernel(CodesArgs args) {
  __shared__ GatherShared shared;
  DeviceBlock block;
  GatherCodes(block, args, shared);
}

template <typename Args>
const void* KernelOf(void (*kernel)(Args)) {
  return reinterpret_cast<const void*>(kernel);
}

absl::Status ToStatus(cudaError_t error, absl::string_view what) {
  if (error == cudaSuccess) return absl::OkStatus();
  const std::string text =
      absl::StrCat("gpu: ", what, ": ", cudaGetErrorName(error), ", ", cudaGetErrorString(error));
  cudaGetLastError();  // a kept error would be given again by the next call
  if (error == cudaErrorMemoryAllocation) return absl::ResourceExhaustedError(text);
  return absl::UnavailableError(text);
}

// Makes a device the calling thread's. Nobody relies on which one it was before, and going back to
// it would take memory of a device that is not used: the runtime starts on each that is named.
void UseDevice(int number) {
  cudaGetLastError();  // what an earlier call left is not the next one's fault
  int current = -1;
  if (cudaGetDevice(&current) != cudaSuccess || current != number) cudaSetDevice(number);
}

// Ranges of the host's memory that are pinned, and for how many devices: the runtime refuses to pin
// a range that is pinned, and replicas of a segment on two devices share its levels. Thread-safe.
class Pins {
 public:
  static Pins& All() {
    static Pins& all = *new Pins;
    return all;
  }
  absl::Status Add(void* begin, size_t bytes) {
    const absl::MutexLock lock(&mutex_);
    uint32_t& count = counts_[begin];
    if (count == 0) {
      const absl::Status pinned = ToStatus(
          cudaHostRegister(begin, bytes, cudaHostRegisterMapped | cudaHostRegisterPortable),
          absl::StrCat("pinning ", bytes, " bytes of a level"));
      if (!pinned.ok()) {
        counts_.erase(begin);
        return pinned;
      }
    }
    ++count;
    return absl::OkStatus();
  }
  void Remove(void* begin) {
    const absl::MutexLock lock(&mutex_);
    const auto found = counts_.find(begin);
    if (--found->second > 0) return;
    counts_.erase(found);
    cudaHostUnregister(begin);
  }

 private:
  absl::Mutex mutex_;
  std::map<void*, uint32_t> counts_;
};

class CudaRecording final : public Recording {
 public:
  CudaRecording(int device, cudaGraphExec_t graph) : device_(device), graph_(graph) {}
  ~CudaRecording() override {
    UseDevice(device_);
    cudaGraphExecDestroy(graph_);
  }
  cudaGraphExec_t graph() const { return graph_; }

 private:
  const int device_;
  const cudaGraphExec_t graph_;
};

class CudaStream final : public Stream {
 public:
  CudaStream(int device, uint32_t processors, cudaStream_t stream)
      : device_(device), processors_(processors), stream_(stream) {}
  ~CudaStream() override {
    UseDevice(device_);
    cudaStreamSynchronize(stream_);
    cudaStreamDestroy(stream_);
  }

  void CopyIn(void* device, const void* host, size_t bytes) override {
    UseDevice(device_);
    Note(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream_), "copying in");
  }
  void CopyOut(void* host, const void* device, size_t bytes) override {
    UseDevice(device_);
    Note(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream_), "copying out");
  }
  void CopyWithin(void* to, const void* from, size_t bytes) override {
    UseDevice(device_);
    Note(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream_), "copying");
  }
  void Zero(void* device, size_t bytes) override {
    UseDevice(device_);
    Note(cudaMemsetAsync(device, 0, bytes, stream_), "clearing");
  }

  void Scan(const ScanArgs& args, bool int8) override {
    switch (TileFor(args.word_count, args.query_count)) {
      case 1:
        return int8 ? LaunchScan<Int8Codes, 1>(args) : LaunchScan<BitCodes, 1>(args);
      case 4:
        return int8 ? LaunchScan<Int8Codes, 4>(args) : LaunchScan<BitCodes, 4>(args);
      default:
        return int8 ? LaunchScan<Int8Codes, kTileMax>(args) : LaunchScan<BitCodes, kTileMax>(args);
    }
  }
  void LowerBounds(const BoundArgs& args, uint32_t query_count) override {
    UseDevice(device_);
    const dim3 grid(ShareOf(query_count, args.upper.capacity, kThreads), query_count);
    BoundKernel<<<grid, kThreads, 0, stream_>>>(args);
    Note(cudaGetLastError(), "launching bounds");
  }
  void Select(const SelectArgs& args, uint32_t query_count) override {
    UseDevice(device_);
    SelectKernel<<<query_count, kThreads, 0, stream_>>>(args);
    Note(cudaGetLastError(), "launching a selection");
  }
  void GatherStored(const StoredArgs& args, uint32_t rows_max) override {
    UseDevice(device_);
    const dim3 grid(ShareOf(args.query_count, rows_max, kRowsAtOnce), args.query_count);
    GatherStoredKernel<<<grid, kThreads, 0, stream_>>>(args);
    Note(cudaGetLastError(), "launching a stage");
  }
  void GatherCodes(const CodesArgs& args, uint32_t query_count, uint32_t rows_max) override {
    UseDevice(device_);
    const dim3 grid(ShareOf(query_count, rows_max, kRowsAtOnce), query_count);
    GatherCodesKernel<<<grid, kThreads, 0, stream_>>>(args);
    Note(cudaGetLastError(), "launching a stage on codes");
  }

  std::unique_ptr<Recording> Record(absl::FunctionRef<void()> steps) override {
    UseDevice(device_);
    if (cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal) != cudaSuccess) {
      cudaGetLastError();
      return nullptr;
    }
    const absl::Status before = std::exchange(status_, absl::OkStatus());
    steps();
    const bool refused = !std::exchange(status_, before).ok();
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t ready = nullptr;
    const bool captured = cudaStreamEndCapture(stream_, &graph) == cudaSuccess && !refused;
    const bool made = captured && cudaGraphInstantiate(&ready, graph, 0) == cudaSuccess;
    if (graph != nullptr) cudaGraphDestroy(graph);
    cudaGetLastError();
    if (!made) return nullptr;
    return std::make_unique<CudaRecording>(device_, ready);
  }
  void Replay(const Recording& recording) override {
    UseDevice(device_);
    Note(cudaGraphLaunch(static_cast<const CudaRecording&>(recording).graph(), stream_),
         "launching a graph");
  }

  absl::Status Wait() override {
    UseDevice(device_);
    Note(cudaStreamSynchronize(stream_), "waiting for a batch");
    return std::exchange(status_, absl::OkStatus());
  }

 private:
  void Note(cudaError_t error, absl::string_view what) {
    if (error != cudaSuccess && status_.ok()) status_.Update(ToStatus(error, what));
  }

  // How many blocks of threads share one list, so that all lists together fill the device.
  uint32_t ShareOf(uint32_t lists, uint32_t entries, uint32_t at_once) const {
    const uint32_t wanted = std::max(1U, kBlocksPerProcessor * processors_ / std::max(1U, lists));
    return std::min(wanted, std::max(1U, (entries + at_once - 1) / at_once));
  }

  template <typename Kind, uint32_t kTile>
  void LaunchScan(const ScanArgs& args) {
    UseDevice(device_);
    const uint32_t tiles = (args.query_count + kTile - 1) / kTile;
    const uint32_t share = ShareOf(tiles, args.block_count, kThreads / kWarp);
    const size_t word_bytes = size_t{kTile} * args.word_count * sizeof(uint32_t);
    ScanKernel<Kind, kTile><<<dim3(share, tiles), kThreads, word_bytes, stream_>>>(args);
    Note(cudaGetLastError(), "launching a scan");
  }

  static constexpr uint32_t kBlocksPerProcessor = 4;

  const int device_;
  const uint32_t processors_;
  const cudaStream_t stream_;
  absl::Status status_;
};

class CudaDevice final : public Device {
 public:
  CudaDevice(int number, const cudaDeviceProp& properties, uint64_t limit_bytes)
      : Device(limit_bytes),
        number_(number),
        processors_(static_cast<uint32_t>(properties.multiProcessorCount)),
        name_(absl::StrCat(number, ": ", properties.name, " (", properties.major, ".",
                           properties.minor, ", ", properties.totalGlobalMem >> 20, " MiB)")) {}

  int number() const override { return number_; }
  std::string name() const override { return name_; }

  absl::StatusOr<Memory> AllocatePinned(size_t bytes) override {
    UseDevice(number_);
    void* data = nullptr;
    MRL_RETURN_IF_ERROR(ToStatus(cudaHostAlloc(&data, bytes, cudaHostAllocDefault),
                                 absl::StrCat("pinning ", bytes, " bytes")));
    return Memory(data, bytes, [](void* at) { cudaFreeHost(at); });
  }

  absl::StatusOr<Memory> Map(const void* host, size_t bytes) override {
    UseDevice(number_);
    void* const begin = const_cast<void*>(host);  // read only: no kernel writes a level
    MRL_RETURN_IF_ERROR(Pins::All().Add(begin, bytes));
    void* device = nullptr;
    const cudaError_t error = cudaHostGetDevicePointer(&device, begin, 0);
    if (error != cudaSuccess) {
      Pins::All().Remove(begin);
      return ToStatus(error, "mapping a level");
    }
    return Memory(device, bytes, [begin](void*) { Pins::All().Remove(begin); });
  }

  absl::Status Upload(void* device, const void* host, size_t bytes) override {
    UseDevice(number_);
    cudaError_t error = cudaMemcpy(device, host, bytes, cudaMemcpyHostToDevice);
    // From memory that is not pinned it returns once all is staged, perhaps before all has arrived;
    // and our streams do not wait for the one that it runs on.
    if (error == cudaSuccess) error = cudaStreamSynchronize(cudaStreamLegacy);
    return ToStatus(error, "copying a segment");
  }

  absl::StatusOr<std::unique_ptr<Stream>> MakeStream() override {
    UseDevice(number_);
    cudaStream_t stream = nullptr;
    MRL_RETURN_IF_ERROR(
        ToStatus(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream"));
    return std::make_unique<CudaStream>(number_, processors_, stream);
  }

 protected:
  absl::StatusOr<Memory> AllocateRaw(size_t bytes, absl::string_view what) override {
    UseDevice(number_);
    void* data = nullptr;
    MRL_RETURN_IF_ERROR(
        ToStatus(cudaMalloc(&data, bytes), absl::StrCat(what, ": ", bytes, " bytes on ", name_)));
    return Memory(data, bytes, [number = number_](void* at) {
      UseDevice(number);
      cudaFree(at);
    });
  }

 private:
  const int number_;
  const uint32_t processors_;
  const std::string name_;
};

std::string VersionText(int version) {
  return absl::StrCat(version / 1000, ".", version % 1000 / 10);
}

// Why the runtime finds no device, in words that say what to do.
std::string WhyNone(cudaError_t error) {
  int driver = 0;
  int runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  cudaGetLastError();
  if (driver == 0) return "no CUDA driver is loaded";
  if (error == cudaErrorInsufficientDriver || error == cudaErrorStubLibrary) {
    return absl::StrCat("the driver knows CUDA ", VersionText(driver), ", this program needs ",
                        VersionText(runtime));
  }
  if (error == cudaErrorNoDevice || error == cudaSuccess) return "there is no CUDA device";
  return absl::StrCat(cudaGetErrorName(error), ", ", cudaGetErrorString(error));
}

// Loads every kernel. The runtime would do it at the first launch, which may be one that a graph
// records: there it may not wait for the device, as loading can.
cudaError_t LoadKernels() {
  const void* const kernels[] = {KernelOf(ScanKernel<Int8Codes, 1>),
                                 KernelOf(ScanKernel<Int8Codes, 4>),
                                 KernelOf(ScanKernel<Int8Codes, kTileMax>),
                                 KernelOf(ScanKernel<BitCodes, 1>),
                                 KernelOf(ScanKernel<BitCodes, 4>),
                                 KernelOf(ScanKernel<BitCodes, kTileMax>),
                                 KernelOf(BoundKernel),
                                 KernelOf(SelectKernel),
                                 KernelOf(GatherStoredKernel),
                                 KernelOf(GatherCodesKernel)};
  for (const void* kernel : kernels) {
    cudaFuncAttributes attributes;
    const cudaError_t error = cudaFuncGetAttributes(&attributes, kernel);
    if (error != cudaSuccess) return error;
  }
  return cudaSuccess;
}

// Whether this device runs the kernels: they were compiled for certain architectures.
absl::Status CheckKernels(const cudaDeviceProp& properties) {
  const cudaError_t error = LoadKernels();
  if (error != cudaErrorInvalidDeviceFunction && error != cudaErrorNoKernelImageForDevice &&
      error != cudaErrorUnsupportedPtxVersion) {
    return ToStatus(error, absl::StrCat("loading the kernels on ", properties.name));
  }
  cudaGetLastError();
  return absl::FailedPreconditionError(absl::StrCat(
      properties.name, " has compute capability ", properties.major, ".", properties.minor,
      ", this program was built for ", MRL_CUDA_ARCHITECTURES, " (", cudaGetErrorName(error), ")"));
}

absl::StatusOr<std::unique_ptr<Device>> OpenOne(int number, uint64_t memory_bytes) {
  UseDevice(number);
  cudaDeviceProp properties;
  MRL_RETURN_IF_ERROR(
      ToStatus(cudaGetDeviceProperties(&properties, number), "asking for a device's properties"));
  MRL_RETURN_IF_ERROR(CheckKernels(properties));
  size_t free_bytes = 0;
  size_t total_bytes = 0;
  MRL_RETURN_IF_ERROR(
      ToStatus(cudaMemGetInfo(&free_bytes, &total_bytes), "asking for a device's memory"));
  const uint64_t limit = memory_bytes != 0 ? memory_bytes : free_bytes / 10 * 9;
  return std::make_unique<CudaDevice>(number, properties, limit);
}

}  // namespace

absl::StatusOr<CudaDevices> OpenCudaDevices(const GpuOptions& options) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  CudaDevices found;
  if (error != cudaSuccess || count == 0) {
    found.why_not = WhyNone(error);
    return found;
  }
  std::vector<int> numbers = options.devices;
  for (int number = 0; options.devices.empty() && number < count; ++number) {
    numbers.push_back(number);
  }
  for (const int number : numbers) {
    if (number < 0 || number >= count) {
      return absl::InvalidArgumentError(
          absl::StrCat("gpu: device ", number, " was asked for, there are ", count));
    }
    absl::StatusOr<std::unique_ptr<Device>> opened = OpenOne(number, options.memory_bytes);
    if (opened.ok()) {
      found.devices.push_back(*std::move(opened));
    } else {
      absl::StrAppend(&found.why_not, found.why_not.empty() ? "" : "; ", "device ", number, ": ",
                      opened.status().message());
    }
  }
  return found;
}

}  // namespace mrl::coarse::gpu
