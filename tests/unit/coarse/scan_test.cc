// The scan against the float64 reference and against itself without codes. CMake runs this binary
// once per instruction set.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <tuple>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/coarse/exact_scan.h"
#include "index/coarse/level_scorer.h"
#include "tests/unit/coarse/sample.h"

namespace mrl::coarse {
namespace {

using test::Find;
using test::Sample;
using test::SampleOptions;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr uint32_t kSeededRows = 40'000;  // enough blocks for a threshold from the sample

// The best rows by the stored precision, ties by row, without codes or bounds.
std::vector<Candidate> Exact(const Sample& sample, const float* query, uint32_t dims, size_t keep,
                             const uint64_t* allowed = nullptr) {
  const auto level = static_cast<size_t>(sample.schema.LevelOf(dims));
  const LevelScorer scorer(*sample.segment, query, level);
  std::vector<KeyedRow> rows;
  for (uint32_t r = 0; r < sample.rows(); ++r) {
    if (IsAllowed(allowed, r)) rows.push_back({scorer.Key(r, level), r});
  }
  std::sort(rows.begin(), rows.end(), [](const KeyedRow& a, const KeyedRow& b) {
    return a.key != b.key ? a.key > b.key : a.row < b.row;
  });
  if (rows.size() > keep) rows.resize(keep);
  std::vector<Candidate> candidates;
  for (const KeyedRow& row : rows) {
    candidates.push_back({ScoreOfKey(sample.schema.metric, row.key), row.row});
  }
  return candidates;
}

void ExpectSame(const std::vector<Candidate>& found, const std::vector<Candidate>& wanted) {
  ASSERT_EQ(found.size(), wanted.size());
  for (size_t i = 0; i < found.size(); ++i) {
    ASSERT_EQ(found[i].row, wanted[i].row) << i;
    ASSERT_EQ(found[i].score, wanted[i].score) << i;
  }
}

// |q|^2 + |x|^2 of the first 32 dimensions, or 2 where both are normalised.
double SquaredNorms(const Sample& sample, const std::vector<float>& query, uint32_t row) {
  if (sample.schema.metric == Metric::kCosine) return 2;
  double squares = 0;
  for (size_t i = 0; i < 32; ++i) {
    squares += std::pow(query[i], 2) + std::pow(sample.row(row)[i], 2);
  }
  return squares;
}

using Setting = std::tuple<Metric, StorageType>;
const auto kSettings =
    ::testing::Combine(::testing::Values(Metric::kCosine, Metric::kInnerProduct, Metric::kL2),
                       ::testing::Values(StorageType::kF32, StorageType::kF16, StorageType::kBf16,
                                         StorageType::kInt8));

std::string NameOf(const ::testing::TestParamInfo<Setting>& info) {
  return std::string(ToString(std::get<0>(info.param))) + "_" +
         std::string(ToString(std::get<1>(info.param)));
}

class EveryMetric : public ::testing::TestWithParam<Setting> {
 protected:
  SampleOptions Options(uint32_t rows) const {
    return {.rows = rows, .metric = std::get<0>(GetParam()), .storage = std::get<1>(GetParam())};
  }
};
INSTANTIATE_TEST_SUITE_P(Scan, EveryMetric, kSettings, NameOf);

TEST_P(EveryMetric, ScoresEveryPrefixAsTheFloat64Reference) {
  const Sample sample(Options(300));
  const std::vector<float> query = sample.QueryNear(17, 1);
  for (const uint32_t dims : sample.schema.ladder) {
    const auto all = Find(sample, *sample.scan, {.query = query.data(), .dims = dims, .keep = 300});
    ASSERT_THAT(all, SizeIs(300));
    for (const Candidate& found : all) {
      EXPECT_NEAR(found.score, sample.Reference(query.data(), found.row, dims),
                  sample.Tolerance(query.data(), found.row, dims))
          << dims << " dims, row " << found.row;
    }
  }
}

TEST_P(EveryMetric, FindsTheExactTopOfEveryPrefix) {
  const Sample sample(Options(kSeededRows));
  for (uint32_t seed = 0; seed < 3; ++seed) {
    const std::vector<float> query = sample.QueryNear(1234 * seed + 5, seed);
    for (const uint32_t dims : sample.schema.ladder) {
      for (const uint32_t keep : {1u, 100u, 3000u}) {
        SCOPED_TRACE(::testing::Message() << dims << ":" << keep);
        ExpectSame(Find(sample, *sample.scan, {.query = query.data(), .dims = dims, .keep = keep}),
                   Exact(sample, query.data(), dims, keep));
      }
    }
  }
}

TEST_P(EveryMetric, RescoresFarFewerRowsThanItScans) {
  const Sample sample(Options(kSeededRows));
  const std::vector<float> query = sample.QueryNear(99, 3);
  const auto result = sample.scan->Search({.query = query.data(), .dims = 32, .keep = 100});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->rows_scanned, kSeededRows);
  EXPECT_GE(result->rescored, 100);
  EXPECT_LT(result->rescored, kSeededRows / 10);
}

TEST_P(EveryMetric, FindsAmongAllowedRowsOnly) {
  const Sample sample(Options(2000));
  const std::vector<float> query = sample.QueryNear(64, 4);
  std::vector<uint64_t> allowed((2000 + 63) / 64, 0);
  for (uint32_t r = 0; r < 2000; r += 3) allowed[r / 64] |= uint64_t{1} << (r % 64);
  for (const uint32_t dims : sample.schema.ladder) {
    const auto found =
        Find(sample, *sample.scan,
             {.query = query.data(), .dims = dims, .keep = 50, .allowed = allowed.data()});
    ExpectSame(found, Exact(sample, query.data(), dims, 50, allowed.data()));
    for (const Candidate& candidate : found) EXPECT_EQ(candidate.row % 3, 0);
  }
  const std::vector<uint64_t> none(allowed.size(), 0);
  EXPECT_THAT(Find(sample, *sample.scan,
                   {.query = query.data(), .dims = 16, .keep = 5, .allowed = none.data()}),
              SizeIs(0));
}

TEST_P(EveryMetric, CutsEqualRowsByRowNumber) {
  SampleOptions options = Options(kSeededRows);
  options.edit = [](std::vector<float>& vectors) {
    for (size_t i = 48; i < vectors.size(); ++i) vectors[i] = vectors[i % 48];
  };
  const Sample sample(options);
  const std::vector<float> query = sample.QueryNear(0, 5);
  for (const uint32_t bits : {0u, 8u}) {
    const auto found =
        Find(sample, *sample.scan, {.query = query.data(), .dims = 16, .bits = bits, .keep = 5});
    ASSERT_THAT(found, SizeIs(5));
    for (uint32_t i = 0; i < 5; ++i) EXPECT_EQ(found[i].row, i);
  }
}

TEST_P(EveryMetric, StaysExactWhenTheSampleMisleads) {
  SampleOptions options = Options(kSeededRows);
  constexpr size_t kStride = kSeededRows / 64 / 64;  // 64 blocks are sampled
  // Only the rows that the threshold is guessed from are near: the guess is too high.
  options.edit = [](std::vector<float>& vectors) {
    for (size_t i = 0; i < vectors.size(); ++i) {
      const size_t block = i / 48 / 64;
      const size_t dimension = i % 48;
      const float sign = block % kStride == kStride / 2 ? 1.0f : -1.0f;
      vectors[i] = sign * (2 + vectors[dimension]) + 0.01f * vectors[i];
    }
  };
  const Sample sample(options);
  const float* near = sample.row(kStride / 2 * 64 + 3);
  const std::vector<float> query(near, near + 48);
  ExpectSame(Find(sample, *sample.scan, {.query = query.data(), .dims = 16, .keep = 6000}),
             Exact(sample, query.data(), 16, 6000));
}

TEST_P(EveryMetric, EstimatesNearTheTruthFromCodesAlone) {
  const Sample sample(Options(500));
  const std::vector<float> query = sample.QueryNear(7, 6);
  const auto found =
      Find(sample, *sample.scan, {.query = query.data(), .dims = 32, .bits = 8, .keep = 500});
  ASSERT_THAT(found, SizeIs(500));
  std::vector<uint32_t> rows;
  for (const Candidate& candidate : found) rows.push_back(candidate.row);
  std::vector<float> scores(500);
  ASSERT_TRUE(sample.scan->Estimate(query.data(), {32, 8}, rows, scores.data()).ok());
  for (size_t i = 0; i < found.size(); ++i) {
    const double truth = sample.Reference(query.data(), rows[i], 32);
    EXPECT_NEAR(found[i].score, truth, 0.01 * SquaredNorms(sample, query, rows[i])) << i;
    EXPECT_NEAR(scores[i], found[i].score, 1e-4 * (1 + std::abs(truth))) << i;
    if (i == 0) continue;
    const bool in_order = sample.schema.metric == Metric::kL2
                              ? found[i - 1].score <= found[i].score
                              : found[i - 1].score >= found[i].score;
    EXPECT_TRUE(in_order) << i;
  }
}

TEST(Scan, ScoresZeroForARowWhosePrefixIsZeroUnderCosine) {
  const Sample sample({.rows = 200, .edit = [](std::vector<float>& vectors) {
                         std::memset(vectors.data() + 11 * 48, 0, 16 * sizeof(float));
                       }});
  const std::vector<float> query = sample.QueryNear(3, 7);
  for (const uint32_t dims : {8u, 16u}) {
    for (const Candidate& found :
         Find(sample, *sample.scan, {.query = query.data(), .dims = dims, .keep = 200})) {
      ASSERT_FALSE(std::isnan(found.score));
      if (found.row == 11) {
        EXPECT_EQ(found.score, 0);
      }
    }
  }
}

TEST(Scan, ScoresZeroForAllUnderAQueryWhosePrefixIsZero) {
  const Sample sample({.rows = 200});
  std::vector<float> query = sample.QueryNear(3, 7);
  std::fill_n(query.begin(), 16, 0.0f);
  const auto found = Find(sample, *sample.scan, {.query = query.data(), .dims = 16, .keep = 3});
  ASSERT_THAT(found, SizeIs(3));
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(found[i].score, 0);
    EXPECT_EQ(found[i].row, i);
  }
}

TEST(Scan, StaysExactWhereIntegersSpanTheFloats) {
  for (const float scale : {1e-22f, 1e-10f, 1e17f}) {
    const Sample sample({.rows = 300, .metric = Metric::kL2, .edit = [&](auto& vectors) {
                           for (float& value : vectors) value *= scale;
                         }});
    const std::vector<float> query(sample.row(9), sample.row(9) + 48);
    ExpectSame(Find(sample, *sample.scan, {.query = query.data(), .dims = 32, .keep = 20}),
               Exact(sample, query.data(), 32, 20));
  }
}

TEST(Scan, ReturnsAllRowsWhenFewerThanKeep) {
  const Sample sample({.rows = 3});
  const std::vector<float> query = sample.QueryNear(1, 8);
  for (const uint32_t dims : sample.schema.ladder) {
    EXPECT_THAT(Find(sample, *sample.scan, {.query = query.data(), .dims = dims, .keep = 1000}),
                SizeIs(3));
  }
}

TEST(Scan, AnswersWithoutAnyCode) {
  const Sample sample({.rows = 700, .codes = {}});
  const std::vector<float> query = sample.QueryNear(1, 8);
  EXPECT_EQ(sample.scan->Describe(), "scan none");
  ExpectSame(Find(sample, *sample.scan, {.query = query.data(), .dims = 16, .keep = 10}),
             Exact(sample, query.data(), 16, 10));
}

TEST(Scan, RefusesWhatItCannotSearch) {
  const Sample sample({.rows = 10});
  const std::vector<float> query = sample.QueryNear(1, 8);
  const auto refusal = [&](const Request& request) {
    const absl::Status status = sample.scan->Search(request).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_THAT(refusal({.query = query.data(), .dims = 9, .keep = 1}),
              HasSubstr("9 dims are not on the ladder 8,16,32,48"));
  EXPECT_THAT(refusal({.query = query.data(), .dims = 48, .bits = 8, .keep = 1}),
              HasSubstr("48b8 is not stored, these are: 8b8,16b8,32b8"));
  EXPECT_THAT(refusal({.query = query.data(), .dims = 8, .keep = 0}), HasSubstr("keep is 0"));
  const Params params = {{"nprobe", 3}};
  EXPECT_THAT(refusal({.query = query.data(), .dims = 8, .keep = 1, .params = &params}),
              HasSubstr("unknown parameter `nprobe`"));
  float score = 0;
  const uint32_t row = 0;
  const absl::Status status = sample.scan->Estimate(query.data(), {48, 8}, {&row, 1}, &score);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("48b8 is not stored"));
}

TEST(Scan, EndsWhenStopped) {
  const Sample sample({.rows = 1000});
  const std::vector<float> query = sample.QueryNear(1, 8);
  for (const uint32_t dims : sample.schema.ladder) {
    const absl::Status status =
        sample.scan
            ->Search(
                {.query = query.data(), .dims = dims, .keep = 5, .stopped = [] { return true; }})
            .status();
    EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
    EXPECT_THAT(std::string(status.message()), HasSubstr("stopped"));
  }
}

}  // namespace
}  // namespace mrl::coarse
