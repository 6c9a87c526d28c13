// What sealing and merging have done since a collection was opened.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace mrl::collection {

struct CompactionStats {
  uint64_t seals = 0, merges = 0;  // that were committed
  uint64_t rows = 0;               // written by both
  double seconds = 0;              // that they took, failed ones too
  uint64_t running = 0;
};

// Thread-safe.
class Compactions {
 public:
  CompactionStats stats() const {
    return {seals_, merges_, rows_, static_cast<double>(micros_) * 1e-6, running_};
  }

  // One that runs: from its making to its end.
  class Run {
   public:
    explicit Run(Compactions* all) : all_(*all) { ++all_.running_; }
    ~Run() {
      all_.micros_ += static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                                std::chrono::steady_clock::now() - begin_)
                                                .count());
      --all_.running_;
    }
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;
    void Sealed(uint64_t rows) { Count(&all_.seals_, rows); }
    void Merged(uint64_t rows) { Count(&all_.merges_, rows); }

   private:
    void Count(std::atomic<uint64_t>* kind, uint64_t rows) {
      ++*kind;
      all_.rows_ += rows;
    }
    Compactions& all_;
    const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  };

 private:
  std::atomic<uint64_t> seals_{0}, merges_{0}, rows_{0}, micros_{0}, running_{0};
};

}  // namespace mrl::collection
