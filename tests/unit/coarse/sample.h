// A segment of clustered, MRL-shaped rows with its scan index, written and opened for one test.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "base/memory_account.h"
#include "gtest/gtest.h"
#include "index/coarse/coarse.h"
#include "index/store/segment.h"

namespace mrl::test {

struct SampleOptions {
  uint32_t rows = 1000;
  std::vector<uint32_t> ladder = {8, 16, 32, 48};
  Metric metric = Metric::kCosine;
  StorageType storage = StorageType::kF32;
  Transform transform = Transform::kNone;
  std::vector<Code> codes = {{8, 8}, {16, 8}, {32, 8}};
  // Changes the generated vectors before they are transformed and written.
  std::function<void(std::vector<float>&)> edit = {};
};

// Removes its files when it goes. Ids fall as rows rise: row r has the id rows - 1 - r.
class Sample {
 public:
  explicit Sample(const SampleOptions& options);
  ~Sample();

  Schema schema;
  std::vector<float> vectors;  // as stored: transformed and rounded
  std::shared_ptr<const store::Segment> segment;
  std::shared_ptr<const coarse::CoarseIndex> scan;
  MemoryAccount account{uint64_t{1} << 32};

  uint32_t rows() const { return segment->rows(); }
  const float* row(uint32_t r) const {
    return vectors.data() + static_cast<size_t>(r) * schema.dim;
  }
  PointId IdOf(uint32_t r) const { return PointId(uint64_t{rows()} - 1 - r); }
  // A path in the sample's folder.
  std::string PathOf(const std::string& name) const;
  std::string scan_path() const { return PathOf("000001.scan.idx"); }
  // A query near `row`, not equal to it.
  std::vector<float> QueryNear(uint32_t row, uint32_t seed) const;
  // The metric's score at a prefix, in float64.
  double Reference(const float* query, uint32_t row, uint32_t dims) const;
  // The allowed error of an f32 score against Reference.
  double Tolerance(const float* query, uint32_t row, uint32_t dims) const;

 private:
  void Write(const SampleOptions& options);

  std::string folder_;
};

// A metric with a storage type: every pair, and its name in the name of a test.
using MetricAndType = std::tuple<Metric, StorageType>;
inline auto EveryMetricAndType() {
  return ::testing::Combine(::testing::Values(Metric::kCosine, Metric::kInnerProduct, Metric::kL2),
                            ::testing::Values(StorageType::kF32, StorageType::kF16,
                                              StorageType::kBf16, StorageType::kInt8));
}
inline std::string NameOfPair(const ::testing::TestParamInfo<MetricAndType>& info) {
  return std::string(ToString(std::get<0>(info.param))) + "_" +
         std::string(ToString(std::get<1>(info.param)));
}

// What `index` finds, best first, equal scores by row; a refusal fails the test.
std::vector<coarse::Candidate> Find(const Sample& sample, const coarse::CoarseIndex& index,
                                    const coarse::Request& request);

}  // namespace mrl::test
