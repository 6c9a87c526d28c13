// Threads that are idle now, for work that can be cut into pieces.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/functional/function_ref.h"

namespace mrl {

// Thread-safe.
class Parallel {
 public:
  virtual ~Parallel() = default;
  // Threads that could take a piece now, the caller's counted: 1 = nobody else. A guess: another
  // caller may be quicker.
  virtual size_t width() const = 0;
  // Runs piece(0) to piece(pieces - 1), each once, in any order, on the caller's thread and on idle
  // ones; returns when all have ended. Waits for nobody: what no other thread has begun, the
  // caller runs.
  virtual void Run(size_t pieces, absl::FunctionRef<void(size_t)> piece) = 0;
};

// How many pieces a scan of so many bytes is worth cutting into: what a piece reads takes longer
// than waking the thread that does it. `helpers` may be null: 1.
inline size_t PiecesOf(uint64_t bytes, const Parallel* helpers) {
  constexpr uint64_t kPieceBytesMin = 2 << 20;
  if (helpers == nullptr || bytes < 2 * kPieceBytesMin) return 1;
  return std::min<uint64_t>(helpers->width(), bytes / kPieceBytesMin);
}

// Runs them on `helpers`, which may be null where there is one piece.
inline void RunPieces(size_t pieces, Parallel* helpers, absl::FunctionRef<void(size_t)> piece) {
  if (pieces == 1) return piece(0);
  helpers->Run(pieces, piece);
}

}  // namespace mrl
