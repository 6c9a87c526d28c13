// A FAISS index on a device, behind plain values: FAISS's GPU headers stay in faiss_runner.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
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

// How a copy keeps the vectors of Flat and the tables of IVFPQ.
enum class FaissPrecision : uint8_t { kFull, kHalf };

// What FAISS keeps of one device for all its indexes: streams, scratch memory.
class FaissResources {
 public:
  virtual ~FaissResources() = default;
  // Copies an index that has a GPU form. UNIMPLEMENTED where FAISS refuses one of its settings.
  virtual absl::StatusOr<std::unique_ptr<FaissRunner>> Copy(const FaissLibrary& library,
                                                            FaissPrecision precision) = 0;
};

// Makes FAISS's side of a device, all that it takes for itself included: `scratch_bytes` of the
// device's memory, streams, a pinned buffer.
using MakeFaissResources = std::function<absl::StatusOr<std::unique_ptr<FaissResources>>(
    Device& device, uint64_t scratch_bytes)>;
// For CUDA devices; null in builds without FAISS's GPU classes.
MakeFaissResources FaissOfDevices();

}  // namespace mrl::coarse::gpu
