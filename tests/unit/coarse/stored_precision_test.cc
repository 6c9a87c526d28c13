// Scores from stored precision against the vectors as they were given: no further off than the
// storage type rounds, in single queries and tiles alike. CMake runs this once per instruction set.
#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/coarse/level_scorer.h"
#include "index/coarse/stand_in.h"
#include "tests/unit/coarse/sample.h"

namespace mrl::coarse {
namespace {

using test::Sample;

constexpr uint32_t kRows = 200;

class StoredPrecision : public ::testing::TestWithParam<test::MetricAndType> {
 protected:
  StoredPrecision()
      : sample_({.rows = kRows,
                 .ladder = {8, 19, 48, 200},
                 .metric = std::get<0>(GetParam()),
                 .storage = std::get<1>(GetParam()),
                 .codes = {},
                 .edit = [this](std::vector<float>& vectors) {
                   // Levels of different sizes, so that one's scale is none of another's.
                   for (size_t i = 0; i < vectors.size(); ++i) {
                     if (i % 200 >= 48) vectors[i] *= 3;
                   }
                   given_ = vectors;
                 }}) {}

  // How far a stored value may be from the one given, a bit more for the arithmetic.
  double StepOf(const float* given, size_t level, uint32_t i) const {
    const uint32_t begin = sample_.schema.level_begin(level);
    double largest = 0;
    for (uint32_t j = begin; j < sample_.schema.ladder[level]; ++j) {
      largest = std::max(largest, std::abs(double{given[j]}));
    }
    switch (sample_.schema.storage) {
      case StorageType::kF32:
        return std::abs(given[i]) * 1e-6;
      case StorageType::kF16:
        return std::abs(given[i]) * 0x1p-11 + largest * 1e-6;
      case StorageType::kBf16:
        return std::abs(given[i]) * 0x1p-8 + largest * 1e-6;
      case StorageType::kInt8:
        return largest / 254 * 1.0001 + largest * 1e-6;
    }
    return 0;
  }

  struct Expected {
    double score = 0;
    double error = 0;
  };
  // The score of the row as it was given, and how far rounding may move it.
  Expected ScoreOf(const std::vector<float>& query, uint32_t row, size_t last_level) const {
    const float* given = given_.data() + size_t{row} * sample_.schema.dim;
    double dot = 0, dot_error = 0, l2 = 0, l2_error = 0, q_norm = 0, x_norm = 0, step_norm = 0;
    for (size_t level = 0; level <= last_level; ++level) {
      for (uint32_t i = sample_.schema.level_begin(level); i < sample_.schema.ladder[level]; ++i) {
        const double step = StepOf(given, level, i);
        const double difference = double{query[i]} - given[i];
        dot += double{query[i]} * given[i];
        dot_error += std::abs(query[i]) * step;
        l2 += difference * difference;
        l2_error += (2 * std::abs(difference) + step) * step;
        q_norm += double{query[i]} * query[i];
        x_norm += double{given[i]} * given[i];
        step_norm += step * step;
      }
    }
    if (sample_.schema.metric == Metric::kL2) return {l2, l2_error};
    if (sample_.schema.metric == Metric::kInnerProduct) return {dot, dot_error};
    const double norms = std::sqrt(q_norm * x_norm);
    const double off = std::sqrt(step_norm / x_norm);
    return {dot / norms, (dot_error / norms + std::abs(dot) / norms * off) / (1 - off)};
  }

  std::vector<float> given_;
  const Sample sample_;
};

TEST_P(StoredPrecision, IsAllThatAScoreLoses) {
  const std::vector<float> query = sample_.QueryNear(17, 1);
  const Metric metric = sample_.schema.metric;
  for (size_t level = 0; level < sample_.schema.levels(); ++level) {
    const LevelScorer scorer(*sample_.segment, query.data(), level);
    for (uint32_t row = 0; row < kRows; ++row) {
      const Expected expected = ScoreOf(query, row, level);
      EXPECT_NEAR(ScoreOfKey(metric, scorer.Key(row, level)), expected.score, expected.error)
          << row << ", level " << level;
    }
  }
}

TEST_P(StoredPrecision, GivesATileTheBitsOfEachQueryAlone) {
  std::vector<std::vector<float>> queries;
  std::vector<LevelScorer> scorers;
  scorers.reserve(kernels::kTileMax);
  for (uint32_t q = 0; q < kernels::kTileMax; ++q) queries.push_back(sample_.QueryNear(q, q));
  for (const auto& query : queries) scorers.emplace_back(*sample_.segment, query.data(), 3);
  std::vector<uint32_t> rows;
  for (uint32_t row = 0; row < kRows; row += 7) rows.push_back(row);
  std::vector<const LevelScorer*> tile;
  for (const LevelScorer& scorer : scorers) {
    tile.push_back(&scorer);
    for (size_t level = 0; level < sample_.schema.levels(); ++level) {
      std::vector<float> sums(rows.size() * tile.size());
      LevelScorer::AddLevelSums(tile, rows, level, sums.data());
      for (size_t i = 0; i < sums.size(); ++i) {
        const uint32_t row = rows[i / tile.size()];
        ASSERT_EQ(sums[i], tile[i % tile.size()]->LevelSum(row, level)) << row << " " << level;
      }
    }
  }
}

TEST_P(StoredPrecision, PutsARowAtNoDistanceFromItself) {
  if (sample_.schema.metric != Metric::kL2) GTEST_SKIP() << "of distances";
  std::vector<float> vector(sample_.schema.dim);
  for (uint32_t row = 0; row < kRows; ++row) {
    ASSERT_TRUE(sample_.segment->Vector(row, vector.data()).ok());
    EXPECT_EQ(LevelScorer(*sample_.segment, vector.data(), 3).Key(row, 3), 0) << row;
  }
}

TEST_P(StoredPrecision, CountsWhatAnExactScanReadsOfARow) {
  const Schema& schema = sample_.schema;
  const std::vector<float> query = sample_.QueryNear(17, 1);
  const auto stand_in = MakeStandIn("faiss", sample_.segment);
  for (size_t level = 0; level < schema.levels(); ++level) {
    const uint64_t scales = schema.storage == StorageType::kInt8 ? (level + 1) * 4 : 0;
    const uint64_t row_bytes = schema.ladder[level] * ElementBytes(schema.storage) + scales;
    EXPECT_EQ(LevelScorer(*sample_.segment, query.data(), level).RowBytes(0, level), row_bytes);
    const Request request = {.query = query.data(), .dims = schema.ladder[level], .keep = 5};
    for (const CoarseIndex* index : {sample_.scan.get(), stand_in.get()}) {
      const absl::StatusOr<Result> found = index->Search(request);
      ASSERT_TRUE(found.ok()) << found.status();
      EXPECT_EQ(found->bytes_touched, kRows * row_bytes)
          << index->Describe() << ", level " << level;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, StoredPrecision, test::EveryMetricAndType(), test::NameOfPair);

}  // namespace
}  // namespace mrl::coarse
