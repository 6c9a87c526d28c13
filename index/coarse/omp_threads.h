// How many threads FAISS's OpenMP loops may use.
#pragma once

#include <omp.h>

namespace mrl::coarse {

// OpenMP loops that the calling thread begins run on `count` threads for as long as this lives.
class OmpThreads {
 public:
  explicit OmpThreads(int count) : before_(omp_get_max_threads()) { omp_set_num_threads(count); }
  ~OmpThreads() { omp_set_num_threads(before_); }
  OmpThreads(const OmpThreads&) = delete;
  OmpThreads& operator=(const OmpThreads&) = delete;

 private:
  const int before_;
};

}  // namespace mrl::coarse
