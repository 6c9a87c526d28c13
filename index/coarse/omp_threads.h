// How many threads FAISS's OpenMP loops, and the BLAS below them, may use.
#pragma once

#include <omp.h>

// OpenBLAS built with POSIX threads has its own number of them: for the small products of a k-means
// they wait for each other longer than they work. Null where another BLAS is linked.
extern "C" __attribute__((weak)) int openblas_get_parallel();
extern "C" __attribute__((weak)) void openblas_set_num_threads(int count);
extern "C" __attribute__((weak)) int openblas_get_num_threads();

namespace mrl::coarse {

// OpenMP loops that the calling thread begins run on `count` threads for as long as this lives.
// OpenBLAS's number is the process's: it is `count` too, until another thread sets it, and 1
// afterwards, whatever the environment says. A build beside searches may so do its products alone.
class OmpThreads {
 public:
  explicit OmpThreads(int count) : before_(omp_get_max_threads()) {
    omp_set_num_threads(count);
    SetBlas(count);
  }
  ~OmpThreads() {
    SetBlas(1);
    omp_set_num_threads(before_);
  }
  OmpThreads(const OmpThreads&) = delete;
  OmpThreads& operator=(const OmpThreads&) = delete;

 private:
  // Of the build with POSIX threads only: the one with OpenMP follows OpenMP's number, and setting
  // its own moves buffers that other threads may be using.
  static void SetBlas(int count) {
    constexpr int kPosixThreads = 1;
    if (openblas_get_parallel == nullptr || openblas_set_num_threads == nullptr ||
        openblas_get_num_threads == nullptr || openblas_get_parallel() != kPosixThreads) {
      return;
    }
    if (openblas_get_num_threads() != count) openblas_set_num_threads(count);
  }

  const int before_;
};

}  // namespace mrl::coarse
