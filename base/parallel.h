// Threads that are idle now, for work that can be cut into pieces.
#pragma once

#include <cstddef>

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

}  // namespace mrl
