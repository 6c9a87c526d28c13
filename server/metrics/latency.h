// A histogram of times that many threads fill: fixed bounds, two atomic additions a time.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace mrl::server {

// Thread-safe. A reader may see a time in its bucket and not yet in the sum.
class Latency {
 public:
  // Upper bounds in µs; the last bucket has none.
  static constexpr std::array<uint64_t, 18> kBoundsMicros = {
      50,     100,     250,     500,     1'000,     2'500,     5'000,     10'000,     25'000,
      50'000, 100'000, 250'000, 500'000, 1'000'000, 2'500'000, 5'000'000, 10'000'000, 60'000'000};

  void Add(double micros) {
    size_t bucket = 0;
    while (bucket < kBoundsMicros.size() && micros > static_cast<double>(kBoundsMicros[bucket])) {
      ++bucket;
    }
    counts_[bucket].fetch_add(1, std::memory_order_relaxed);
    sum_nanos_.fetch_add(static_cast<uint64_t>(micros * 1e3), std::memory_order_relaxed);
  }

  uint64_t count(size_t bucket) const { return counts_[bucket].load(std::memory_order_relaxed); }
  double sum_seconds() const {
    return static_cast<double>(sum_nanos_.load(std::memory_order_relaxed)) * 1e-9;
  }

 private:
  std::array<std::atomic<uint64_t>, kBoundsMicros.size() + 1> counts_{};
  std::atomic<uint64_t> sum_nanos_{0};
};

}  // namespace mrl::server
