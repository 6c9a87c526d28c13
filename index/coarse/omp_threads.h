// How many threads FAISS's OpenMP loops, and the BLAS below them, may use.
#pragma once

#include <omp.h>

// OpenBLAS has threads of its own, which OpenMP's number does not reach: for the small products of
// a k-means they wait for each other longer than they work. Null where another BLAS is linked.
extern "C" __attribute__((weak)) void openblas_set_num_threads(int count);
extern "C" __attribute__((weak)) int openblas_get_num_threads();

namespace mrl::coarse {

// OpenMP loops that the calling thread begins run on `count` threads for as long as this lives; so
// do OpenBLAS's products, of every thread: what one sets beside another changes times alone.
class OmpThreads {
 public:
  explicit OmpThreads(int count) : before_(omp_get_max_threads()) {
    omp_set_num_threads(count);
    SetBlas(count);
  }
  ~OmpThreads() {
    omp_set_num_threads(before_);
    SetBlas(1);
  }
  OmpThreads(const OmpThreads&) = delete;
  OmpThreads& operator=(const OmpThreads&) = delete;

 private:
  static void SetBlas(int count) {
    if (openblas_set_num_threads != nullptr && openblas_get_num_threads() != count) {
      openblas_set_num_threads(count);
    }
  }

  const int before_;
};

}  // namespace mrl::coarse
