// Bit codes from rows to shortlists, against the definition in bit_codes.h in double precision.
// CMake runs this binary once per instruction set.
#include "index/coarse/bit_search.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/coarse/sample.h"

namespace mrl::coarse {
namespace {

using test::Find;
using test::Sample;
using test::SampleOptions;
using ::testing::HasSubstr;
using ::testing::SizeIs;

SampleOptions Coded(Code code, uint32_t rows = 1000) { return {.rows = rows, .codes = {code}}; }

// The value of dimension i of a coded row: the middle of the step that it falls into.
double CodedValue(const Sample& sample, uint32_t row, uint32_t i, Code code) {
  double squares = 0;
  for (uint32_t j = 0; j < code.dims; ++j) squares += std::pow(sample.row(row)[j], 2);
  const double step = code.bits == 1 ? 1 : code.bits == 2 ? 0.9957 : 0.3352;
  const double half = std::pow(2.0, code.bits - 1);
  const double at = std::floor(sample.row(row)[i] * std::sqrt(code.dims / squares) / step);
  return std::clamp(at, -half, half - 1) + 0.5;
}

double DotWithCode(const Sample& sample, const std::vector<float>& query, uint32_t row,
                   uint32_t dims, Code code) {
  double dot = 0;
  for (uint32_t i = 0; i < dims; ++i) dot += query[i] * CodedValue(sample, row, i, code);
  return dot;
}

double Norm(const float* x, uint32_t dims) {
  double squares = 0;
  for (uint32_t i = 0; i < dims; ++i) squares += static_cast<double>(x[i]) * x[i];
  return std::sqrt(squares);
}

class BitCodes : public ::testing::TestWithParam<uint32_t> {
 protected:
  Code code() const { return {48, GetParam()}; }
};
INSTANTIATE_TEST_SUITE_P(ScanBits, BitCodes, ::testing::Values(1u, 2u, 4u));

TEST_P(BitCodes, EstimateTheCosineByTheCalibratedDotProductWithTheCode) {
  const Sample sample(Coded(code(), 300));
  const std::vector<float> query = sample.QueryNear(17, 1);
  for (const uint32_t dims : sample.schema.ladder) {
    double calibration = 0;
    for (uint32_t row = 0; row < 300; ++row) {
      const std::vector<float> x(sample.row(row), sample.row(row) + dims);
      calibration += DotWithCode(sample, x, row, dims, code()) / Norm(x.data(), dims) / 300;
    }
    const auto found =
        Find(sample, *sample.scan,
             {.query = query.data(), .dims = dims, .bits = code().bits, .keep = 300});
    ASSERT_THAT(found, SizeIs(300));
    for (const Candidate& candidate : found) {
      const double dot = DotWithCode(sample, query, candidate.row, dims, code());
      // Weights are integers up to 31: that much finer than the code is the query.
      EXPECT_NEAR(candidate.score, dot / Norm(query.data(), dims) / calibration, 0.06)
          << dims << " dims, row " << candidate.row;
    }
  }
}

TEST_P(BitCodes, ShortlistMostTrueNeighbours) {
  const Sample sample(Coded(code(), 30'000));
  size_t found = 0;
  for (uint32_t seed = 0; seed < 20; ++seed) {
    const std::vector<float> query = sample.QueryNear(seed * 1499, seed);
    const Request coded = {.query = query.data(), .dims = 48, .bits = code().bits, .keep = 600};
    const std::vector<Candidate> shortlist = Find(sample, *sample.scan, coded);
    for (const Candidate& near :
         Find(sample, *sample.scan, {.query = query.data(), .dims = 48, .keep = 10})) {
      found += std::count_if(shortlist.begin(), shortlist.end(),
                             [&](const Candidate& c) { return c.row == near.row; });
    }
  }
  const double recall_min = code().bits == 1 ? 0.60 : code().bits == 2 ? 0.75 : 0.9;
  EXPECT_GE(static_cast<double>(found) / 200, recall_min);
}

TEST_P(BitCodes, KeepTheBestByScoreAndCutTiesByRow) {
  const Sample sample(Coded(code(), 40'000));  // enough blocks for a threshold from a sample
  const std::vector<float> query = sample.QueryNear(1234, 3);
  for (const uint32_t dims : {16u, 48u}) {
    const Request all = {
        .query = query.data(), .dims = dims, .bits = code().bits, .keep = sample.rows()};
    std::vector<Candidate> expected = Find(sample, *sample.scan, all);
    ASSERT_THAT(expected, SizeIs(40'000));
    for (const uint32_t keep : {1u, 70u, 5000u}) {
      Request some = all;
      some.keep = keep;
      const auto found = Find(sample, *sample.scan, some);
      ASSERT_THAT(found, SizeIs(keep));
      for (uint32_t i = 0; i < keep; ++i) {
        ASSERT_EQ(found[i].row, expected[i].row) << dims << ":" << keep << " at " << i;
      }
    }
  }
}

TEST_P(BitCodes, ScoreSingleRowsAsTheScanDoes) {
  const Sample sample(Coded(code(), 700));
  const std::vector<float> query = sample.QueryNear(5, 4);
  for (const uint32_t dims : sample.schema.ladder) {
    const auto found =
        Find(sample, *sample.scan,
             {.query = query.data(), .dims = dims, .bits = code().bits, .keep = 100});
    std::vector<uint32_t> rows;
    for (const Candidate& candidate : found) rows.push_back(candidate.row);
    std::vector<float> scores(rows.size());
    ASSERT_TRUE(sample.scan->Estimate(query.data(), {dims, code().bits}, rows, scores.data()).ok());
    for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(scores[i], found[i].score) << i;
  }
}

TEST_P(BitCodes, GiveEachQueryOfATileWhatItGetsAlone) {
  const Sample sample(Coded(code(), 20'000));
  std::vector<std::vector<float>> queries;
  std::vector<Request> requests;
  for (uint32_t i = 0; i < 11; ++i) queries.push_back(sample.QueryNear(i * 1000, i));
  for (uint32_t i = 0; i < 11; ++i) {
    requests.push_back(
        {.query = queries[i].data(), .dims = 32, .bits = code().bits, .keep = 10 + 100 * i});
  }
  const auto tile = sample.scan->SearchTile(requests);
  ASSERT_THAT(tile, SizeIs(11));
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto alone = sample.scan->Search(requests[i]);
    ASSERT_TRUE(tile[i].ok() && alone.ok());
    ASSERT_EQ(tile[i]->candidates.size(), alone->candidates.size());
    for (size_t j = 0; j < alone->candidates.size(); ++j) {
      EXPECT_EQ(tile[i]->candidates[j].row, alone->candidates[j].row);
      EXPECT_EQ(tile[i]->candidates[j].score, alone->candidates[j].score);
    }
  }
}

TEST_P(BitCodes, LookAtAllowedRowsOnly) {
  const Sample sample(Coded(code(), 30'000));
  std::vector<uint64_t> allowed(30'000 / 64 + 1, 0);
  for (uint32_t row = 0; row < 30'000; row += 100) allowed[row / 64] |= uint64_t{1} << (row % 64);
  const std::vector<float> query = sample.QueryNear(100, 6);
  const auto found = Find(sample, *sample.scan,
                          {.query = query.data(),
                           .dims = 48,
                           .bits = code().bits,
                           .keep = 1000,
                           .allowed = allowed.data()});
  EXPECT_THAT(found, SizeIs(300));  // fewer than asked for: a guessed threshold may not lose any
  for (const Candidate& candidate : found) EXPECT_EQ(candidate.row % 100, 0u);
}

TEST_P(BitCodes, StayCompleteWhenTheSampleMisleads) {
  SampleOptions options = Coded(code(), 40'000);
  constexpr size_t kStride = 8;  // 625 blocks, of which 70 are sampled for this keep
  // Only the blocks that the threshold is guessed from are near: the guess is too high.
  options.edit = [](std::vector<float>& vectors) {
    for (size_t i = 0; i < vectors.size(); ++i) {
      const bool sampled = i / 48 / 64 % kStride == kStride / 2;
      vectors[i] = (sampled ? 1.0f : -1.0f) * (2 + vectors[i % 48]) + 0.01f * vectors[i];
    }
  };
  const Sample sample(options);
  const float* near = sample.row(kStride / 2 * 64);
  const std::vector<float> query(near, near + 48);
  EXPECT_THAT(Find(sample, *sample.scan,
                   {.query = query.data(), .dims = 16, .bits = code().bits, .keep = 20'000}),
              SizeIs(20'000));
}

TEST_P(BitCodes, AStoppedQueryOfATileLeavesTheOthersAlone) {
  const Sample sample(Coded(code(), 5000));
  const std::vector<float> query = sample.QueryNear(3, 1);
  const Request request = {.query = query.data(), .dims = 48, .bits = code().bits, .keep = 10};
  std::vector<Request> requests(3, request);
  requests[1].stopped = [] { return true; };
  const auto results = sample.scan->SearchTile(requests);
  EXPECT_TRUE(results[0].ok());
  EXPECT_EQ(results[1].status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(results[2]->candidates.size(), 10u);
}

TEST(ScanBitCodes, MoreBitsEstimateBetter) {
  double error[5] = {};
  for (const uint32_t bits : {1u, 2u, 4u}) {
    const Sample sample(Coded({48, bits}, 2000));
    const std::vector<float> query = sample.QueryNear(3, 9);
    for (const Candidate& found :
         Find(sample, *sample.scan,
              {.query = query.data(), .dims = 48, .bits = bits, .keep = 2000})) {
      error[bits] += std::pow(found.score - sample.Reference(query.data(), found.row, 48), 2);
    }
  }
  EXPECT_LT(error[2], 0.5 * error[1]);
  EXPECT_LT(error[4], 0.5 * error[2]);
}

TEST(ScanBitCodes, RefuseWhatIsNotStored) {
  const Sample sample(Coded({32, 1}));
  const std::vector<float> query = sample.QueryNear(3, 9);
  const auto longer =
      sample.scan->Search({.query = query.data(), .dims = 48, .bits = 1, .keep = 5});
  EXPECT_EQ(longer.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(longer.status().message()),
              HasSubstr("the code 48b1 is not stored, these are: 32b1"));
  float score = 0;
  const uint32_t row = 0;
  const absl::Status estimate = sample.scan->Estimate(query.data(), {16, 2}, {&row, 1}, &score);
  EXPECT_EQ(estimate.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(estimate.message()), HasSubstr("16b2"));
}

}  // namespace
}  // namespace mrl::coarse
