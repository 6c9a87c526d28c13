// The build without FAISS's GPU classes.
#include "index/coarse/gpu/faiss_runner.h"

namespace mrl::coarse::gpu {

absl::StatusOr<std::unique_ptr<FaissResources>> MakeFaissResources(int, bool, uint64_t) {
  return absl::FailedPreconditionError(
      "faiss_gpu: this program was built without FAISS's GPU classes (MRL_FAISS_GPU)");
}

}  // namespace mrl::coarse::gpu
