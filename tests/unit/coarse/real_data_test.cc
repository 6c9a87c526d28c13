// The scan on real embeddings (examples/wordnet) against a float64 reference that shares nothing
// with it. CMake runs this once per instruction set.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <tuple>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/coarse/level_scorer.h"
#include "index/io/embeddings.h"
#include "tests/unit/coarse/sample.h"

namespace mrl::coarse {
namespace {

using test::Sample;

constexpr uint32_t kRows = 10'000;
constexpr uint32_t kQueries = 8;
constexpr double kTie = 1e-6;  // of two scores that the engine may list either way round

// Rows of a file of the example, which are 512 dimensions long.
std::vector<float> ReadExample(const std::string& name, uint64_t rows) {
  const char* source = std::getenv("MRL_SOURCE_DIR");
  EXPECT_NE(source, nullptr) << "MRL_SOURCE_DIR is the checkout";
  const auto reader =
      io::OpenEmbeddings(FileSystem::Posix(), std::string(source) + "/examples/wordnet/" + name);
  EXPECT_TRUE(reader.ok()) << reader.status();
  std::vector<float> vectors(rows * (*reader)->dims());
  EXPECT_TRUE((*reader)->Read(0, absl::MakeSpan(vectors)).ok());
  return vectors;
}

class ScanOfRealData : public ::testing::TestWithParam<test::MetricAndType> {
 protected:
  ScanOfRealData()
      : sample_({.rows = kRows,
                 .ladder = {16, 32, 64, 128, 256, 512},
                 .metric = std::get<0>(GetParam()),
                 .storage = std::get<1>(GetParam()),
                 .codes = {{16, 8}, {32, 8}, {64, 8}, {128, 8}, {256, 8}},
                 .edit =
                     [](std::vector<float>& vectors) {
                       vectors = ReadExample("embeddings.npy", kRows);
                     }}),
        queries_(ReadExample("queries.npy", kQueries)) {}

  // Larger is nearer, whatever the metric.
  std::vector<double> Nearness(const float* query, uint32_t dims) const {
    const double sign = sample_.schema.metric == Metric::kL2 ? -1 : 1;
    std::vector<double> nearness;
    for (uint32_t row = 0; row < kRows; ++row) {
      nearness.push_back(sign * sample_.Reference(query, row, dims));
    }
    return nearness;
  }

  const Sample sample_;
  const std::vector<float> queries_;
};

// `found` is the top of `nearness`: nothing far below the last place, nothing above it left out.
void ExpectTop(const std::vector<Candidate>& found, const std::vector<double>& nearness,
               uint32_t keep) {
  ASSERT_EQ(found.size(), keep);
  std::vector<double> sorted = nearness;
  std::nth_element(sorted.begin(), sorted.begin() + (keep - 1), sorted.end(), std::greater<>());
  const double last = sorted[keep - 1];
  std::vector<bool> there(kRows);
  for (const Candidate& candidate : found) {
    EXPECT_FALSE(there[candidate.row]) << "twice";
    there[candidate.row] = true;
    EXPECT_GE(nearness[candidate.row], last - kTie);
  }
  for (uint32_t row = 0; row < kRows; ++row) {
    EXPECT_TRUE(there[row] || nearness[row] <= last + kTie) << "row " << row << " is missing";
  }
}

TEST_P(ScanOfRealData, IsTheExactTopOfEveryPrefix) {
  for (uint32_t q = 0; q < kQueries; ++q) {
    const float* query = queries_.data() + size_t{q} * sample_.schema.dim;
    for (const uint32_t dims : sample_.schema.ladder) {
      const std::vector<double> nearness = Nearness(query, dims);
      for (const uint32_t keep : {1u, 10u, 200u, 2000u}) {
        SCOPED_TRACE(::testing::Message() << "query " << q << ", " << dims << ":" << keep);
        const auto result = sample_.scan->Search({.query = query, .dims = dims, .keep = keep});
        ASSERT_TRUE(result.ok()) << result.status();
        ExpectTop(result->candidates, nearness, keep);
      }
    }
  }
}

// The rows of the ten best by `score`.
template <typename Score>
std::vector<uint32_t> TopTen(Score score) {
  std::vector<std::pair<double, uint32_t>> rows;
  for (uint32_t row = 0; row < kRows; ++row) rows.emplace_back(-score(row), row);
  std::partial_sort(rows.begin(), rows.begin() + 10, rows.end());
  std::vector<uint32_t> top;
  for (size_t i = 0; i < 10; ++i) top.push_back(rows[i].second);
  return top;
}

// Of the ten nearest by vectors as they were given, how many are so by stored precision.
TEST(StoredPrecisionOfRealData, KeepsNearlyAllNeighbours) {
  constexpr uint32_t kAsked = 40;
  const std::vector<float> queries = ReadExample("queries.npy", kAsked);
  const std::vector<float> given = ReadExample("embeddings.npy", kRows);
  constexpr size_t kDim = 512;
  for (const auto& [storage, least] : std::vector<std::pair<StorageType, double>>{
           {StorageType::kF16, 0.997}, {StorageType::kBf16, 0.995}, {StorageType::kInt8, 0.99}}) {
    const Sample sample({.rows = kRows,
                         .ladder = {16, 64, 256, kDim},
                         .storage = storage,
                         .codes = {},
                         .edit = [&](std::vector<float>& vectors) { vectors = given; }});
    size_t found = 0;
    for (uint32_t q = 0; q < kAsked; ++q) {
      const float* query = queries.data() + q * kDim;
      const std::vector<uint32_t> truth = TopTen([&](uint32_t row) {
        const float* x = given.data() + row * kDim;
        return std::inner_product(x, x + kDim, query, 0.0) /
               std::sqrt(std::inner_product(x, x + kDim, x, 0.0));
      });
      const LevelScorer scorer(*sample.segment, query, 3);
      const std::vector<uint32_t> stored = TopTen([&](uint32_t row) { return scorer.Key(row, 3); });
      for (const uint32_t row : stored) found += std::count(truth.begin(), truth.end(), row);
    }
    EXPECT_GE(static_cast<double>(found) / (10 * kAsked), least) << ToString(storage);
  }
}

INSTANTIATE_TEST_SUITE_P(RealData, ScanOfRealData, test::EveryMetricAndType(), test::NameOfPair);

}  // namespace
}  // namespace mrl::coarse
