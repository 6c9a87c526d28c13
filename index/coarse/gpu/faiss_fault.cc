#include "index/coarse/gpu/faiss_fault.h"

#include <algorithm>
#include <initializer_list>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace mrl::coarse::gpu {
namespace {

bool ContainsAny(absl::string_view text, std::initializer_list<absl::string_view> parts) {
  return std::any_of(parts.begin(), parts.end(),
                     [&](absl::string_view part) { return absl::StrContains(text, part); });
}

absl::StatusCode CodeOf(absl::StatusCode otherwise, absl::string_view text) {
  if (ContainsAny(text, {"out of memory", "out_of_memory", "bad_alloc"})) {
    return absl::StatusCode::kResourceExhausted;
  }
  // "alloc fail … (cudaMalloc error an illegal memory access was encountered [700])": an earlier
  // call's fault, which stays.
  if (ContainsAny(text, {"cudaMalloc error", "cudaMallocManaged error", "cudaHostAlloc",
                         "CUDA error", "cublas", "CUBLAS"})) {
    return absl::StatusCode::kUnavailable;
  }
  if (absl::StrContains(text, "alloc fail")) return absl::StatusCode::kResourceExhausted;
  return otherwise;
}

}  // namespace

absl::Status FaissFault(absl::StatusCode otherwise, absl::string_view what,
                        absl::string_view text) {
  return absl::Status(CodeOf(otherwise, text), absl::StrCat("faiss_gpu: ", what, ": ", text));
}

}  // namespace mrl::coarse::gpu
