#include "index/coarse/gpu/faiss_runner.h"

#include <cuda_runtime_api.h>
#include <faiss/gpu/GpuAutoTune.h>
#include <faiss/gpu/GpuCloner.h>
#include <faiss/gpu/GpuIndex.h>
#include <faiss/gpu/StandardGpuResources.h>

#include <exception>
#include <functional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/coarse/faiss_version.h"
#include "index/coarse/gpu/faiss_fault.h"

namespace mrl::coarse::gpu {
namespace {

// An exception becomes a status: FaissFault of its text. Where FAISS asserts instead of throwing
// (a CUDA error inside a kernel of its own) nothing can be caught: memory is therefore reserved
// first, and sizes are checked before FAISS sees them.
absl::Status Guard(absl::StatusCode code, absl::string_view what,
                   const std::function<void()>& call) {
  try {
    call();
    return absl::OkStatus();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat("faiss_gpu: ", what, ": out of memory"));
  } catch (const std::exception& error) {
    return FaissFault(code, what, error.what());
  } catch (...) {
    return FaissFault(code, what, "an exception without a text");
  }
}

class Runner final : public FaissRunner {
 public:
  explicit Runner(std::unique_ptr<faiss::Index> index) : index_(std::move(index)) {}

  absl::Status Search(absl::Span<const float> queries, size_t k, size_t nprobe, float* distances,
                      int64_t* labels) override {
    const auto count = static_cast<FaissId>(queries.size() / static_cast<size_t>(index_->d));
    std::vector<FaissId> found(static_cast<size_t>(count) * k);
    MRL_RETURN_IF_ERROR(Guard(absl::StatusCode::kInternal, "searching", [&] {
      if (nprobe != 0) {
        faiss::gpu::GpuParameterSpace().set_index_parameter(index_.get(), "nprobe",
                                                            static_cast<double>(nprobe));
      }
      index_->search(count, queries.data(), static_cast<FaissId>(k), distances, found.data());
    }));
    std::copy(found.begin(), found.end(), labels);
    return absl::OkStatus();
  }
  absl::Status Train(absl::Span<const float> vectors) override {
    return Guard(absl::StatusCode::kInvalidArgument, "training",
                 [&] { index_->train(CountOf(vectors), vectors.data()); });
  }
  absl::Status Add(absl::Span<const float> vectors) override {
    return Guard(absl::StatusCode::kInvalidArgument, "adding rows",
                 [&] { index_->add(CountOf(vectors), vectors.data()); });
  }
  absl::StatusOr<std::unique_ptr<FaissLibrary>> CopyToHost() override {
    std::unique_ptr<faiss::Index> copy;
    MRL_RETURN_IF_ERROR(Guard(absl::StatusCode::kInternal, "copying an index to the host",
                              [&] { copy.reset(faiss::gpu::index_gpu_to_cpu(index_.get())); }));
    return FaissLibrary::Adopt(std::move(copy));
  }

 private:
  FaissId CountOf(absl::Span<const float> vectors) const {
    return static_cast<FaissId>(vectors.size() / static_cast<size_t>(index_->d));
  }

  const std::unique_ptr<faiss::Index> index_;
};

class Resources final : public FaissResources {
 public:
  explicit Resources(int number) : number_(number) {}

  // All at once: FAISS would make the rest when it is first needed, and what is made by halves
  // there, for want of memory, ends the process at the call after that.
  absl::Status Prepare(uint64_t scratch_bytes) {
    return Guard(absl::StatusCode::kFailedPrecondition, "preparing a device", [&] {
      resources_ = std::make_unique<faiss::gpu::StandardGpuResources>();
      resources_->setTempMemory(scratch_bytes);
      resources_->getResources()->initializeForDevice(number_);
    });
  }
  absl::StatusOr<std::unique_ptr<FaissRunner>> Copy(const FaissLibrary& library,
                                                    FaissPrecision precision) override {
    faiss::gpu::GpuClonerOptions options;
    options.useFloat16 = precision == FaissPrecision::kHalf;
    options.useFloat16CoarseQuantizer = false;
    options.indicesOptions = faiss::gpu::INDICES_64_BIT;
    std::unique_ptr<faiss::Index> copy;
    MRL_RETURN_IF_ERROR(Guard(absl::StatusCode::kUnimplemented, "copying an index", [&] {
      copy.reset(
          faiss::gpu::index_cpu_to_gpu(resources_.get(), number_, &library.index(), &options));
    }));
    if (dynamic_cast<faiss::gpu::GpuIndex*>(copy.get()) == nullptr) {
      return absl::UnimplementedError("faiss_gpu: FAISS left its copy of this index on the host");
    }
    return std::make_unique<Runner>(std::move(copy));
  }

 private:
  const int number_;
  std::unique_ptr<faiss::gpu::StandardGpuResources> resources_;
};

absl::StatusOr<std::unique_ptr<FaissResources>> Make(int number, uint64_t scratch_bytes) {
  // FAISS ends the process where it finds no device: ask before it does.
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess || number >= count) {
    return absl::FailedPreconditionError(
        absl::StrCat("faiss_gpu: there is no CUDA device ", number));
  }
  auto resources = std::make_unique<Resources>(number);
  absl::Status prepared = resources->Prepare(scratch_bytes);
  if (prepared.ok()) return resources;
  // After a fault of the device its destructor would end the process.
  if (absl::IsUnavailable(prepared)) static_cast<void>(resources.release());
  return prepared;
}

}  // namespace

MakeFaissResources FaissOfDevices() {
  return
      [](Device& device, uint64_t scratch_bytes) { return Make(device.number(), scratch_bytes); };
}

}  // namespace mrl::coarse::gpu
