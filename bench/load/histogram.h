// Times in buckets that keep three significant digits over nine decades, in 300 KB.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace mrl::load {

// Values are whole numbers below 2^40 (nanoseconds: 18 minutes); larger ones count as that. Not
// thread-safe: one for each thread, added up at the end.
class Histogram {
 public:
  Histogram() : counts_(BucketOf(kMax) + 1) {}

  void Add(uint64_t value) {
    if (value > kMax) value = kMax;
    ++counts_[BucketOf(value)];
    ++count_;
    sum_ += static_cast<double>(value);
    if (value > max_) max_ = value;
  }
  void Add(const Histogram& other) {
    for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    count_ += other.count_;
    sum_ += other.sum_;
    if (other.max_ > max_) max_ = other.max_;
  }

  uint64_t count() const { return count_; }
  uint64_t max() const { return max_; }
  double mean() const { return count_ == 0 ? 0 : sum_ / static_cast<double>(count_); }
  // The smallest value that a share `q` of the values does not exceed, to a 1/1024th of itself.
  uint64_t Quantile(double q) const {
    const double wanted = q * static_cast<double>(count_);
    uint64_t seen = 0;
    for (size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen > 0 && static_cast<double>(seen) >= wanted) return UpperOf(i);
    }
    return 0;
  }

 private:
  // Below 2^11 a bucket a value; above, 2^10 buckets for each doubling.
  static constexpr int kBits = 10;
  static constexpr uint64_t kMax = (uint64_t{1} << 40) - 1;

  static size_t BucketOf(uint64_t value) {
    const int shift = std::bit_width(value | ((uint64_t{2} << kBits) - 1)) - kBits - 1;
    return (static_cast<size_t>(shift) << kBits) + static_cast<size_t>(value >> shift);
  }
  static uint64_t UpperOf(size_t bucket) {
    const size_t half = size_t{1} << kBits;
    const size_t shift = bucket < 2 * half ? 0 : bucket / half - 1;
    return ((bucket - shift * half + 1) << shift) - 1;
  }

  std::vector<uint64_t> counts_;
  uint64_t count_ = 0, max_ = 0;
  double sum_ = 0;
};

}  // namespace mrl::load
