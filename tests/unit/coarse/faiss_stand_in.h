// A stand-in for FAISS's GPU classes, on the host: it holds CPU indexes, searches them as a GPU
// index would (no filter, no more than kFaissKMax rows), and sees to it that no two calls are made
// at a time.
#pragma once

#include <atomic>

#include "absl/status/status.h"
#include "index/coarse/gpu/faiss_runner.h"

namespace mrl::test {

// What was asked of it, and how its calls are to end.
struct FaissCounts {
  std::atomic<int> calls = 0;  // searches
  std::atomic<int> at_once = 0;
  std::atomic<int> made = 0;       // resources
  std::atomic<int> destroyed = 0;  // indexes and resources
  std::atomic<int> added = 0;      // rows
  std::atomic<coarse::gpu::FaissPrecision> precision = coarse::gpu::FaissPrecision::kFull;

  std::atomic<absl::StatusCode> failure = absl::StatusCode::kOk;       // of searches
  std::atomic<absl::StatusCode> make_failure = absl::StatusCode::kOk;  // of making resources
  std::atomic<absl::StatusCode> copy_refusal = absl::StatusCode::kOk;  // of copying to the device
  std::atomic<absl::StatusCode> copy_failure = absl::StatusCode::kOk;  // of copying to the host
};

// `counts` outlives what it makes.
coarse::gpu::MakeFaissResources StandInFaiss(FaissCounts& counts);

}  // namespace mrl::test
