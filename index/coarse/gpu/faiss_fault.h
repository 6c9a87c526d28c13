// What an exception of FAISS's GPU classes means. FAISS throws one class for all; its text tells.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace mrl::coarse::gpu {

// RESOURCE_EXHAUSTED where memory ran out, UNAVAILABLE for another error of CUDA or cuBLAS, else
// `otherwise`. `what`: what FAISS was asked to do.
absl::Status FaissFault(absl::StatusCode otherwise, absl::string_view what, absl::string_view text);

}  // namespace mrl::coarse::gpu
