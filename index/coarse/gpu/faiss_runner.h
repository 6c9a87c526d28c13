// A FAISS index on a device, behind plain values: FAISS's GPU headers stay in faiss_runner.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/coarse/faiss_library.h"
#include "index/coarse/gpu/runtime.h"

namespace mrl::coarse::gpu {

// Rows that one search of a GPU index returns, and lists it probes, at most.
inline constexpr size_t kFaissKMax = 2048;

// One call at a time: GPU indexes of one device share its resources and are not safe for concurrent
// calls. FaissDevice sees to it.
class FaissRunner {
 public:
  virtual ~FaissRunner() = default;

  // The best `k` (1 to kFaissKMax) of each query, `k` distances and labels a query, -1 where there
  // are no more. `nprobe`: 1 to kFaissKMax; 0 = the index takes none.
  virtual absl::Status Search(absl::Span<const float> queries, size_t k, size_t nprobe,
                              float* distances, int64_t* labels) = 0;

  // For building.
  virtual absl::Status Train(absl::Span<const float> vectors) = 0;
  virtual absl::Status Add(absl::Span<const float> vectors) = 0;
  virtual absl::StatusOr<std::unique_ptr<FaissLibrary>> CopyToHost() = 0;
};

// What FAISS keeps of one device for all its indexes: streams, scratch memory.
class FaissResources {
 public:
  virtual ~FaissResources() = default;
  // Copies an index. INVALID_ARGUMENT for one that has no GPU form: FAISS has Flat, IVFFlat, IVFPQ
  // and IVFScalarQuantizer.
  virtual absl::StatusOr<std::unique_ptr<FaissRunner>> Copy(const FaissLibrary& library) = 0;
};

// `number`: of the CUDA device. `float16`: keeps the vectors of Flat and the tables of IVFPQ
// in half precision.
// `scratch_bytes`: memory of the device that FAISS takes at once for its own work.
// FAILED_PRECONDITION in builds without FAISS's GPU classes.
absl::StatusOr<std::unique_ptr<FaissResources>> MakeFaissResources(int number, bool float16,
                                                                   uint64_t scratch_bytes);

}  // namespace mrl::coarse::gpu
