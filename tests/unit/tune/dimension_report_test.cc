#include "index/tune/dimension_report.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

namespace mrl::tune {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint32_t kDim = 64;
constexpr size_t kRows = 800;
constexpr size_t kQueries = 60;

struct Vectors {
  std::vector<float> documents, queries;
};

// Independent dimensions whose deviation falls with their number by `decay`.
Vectors MakeVectors(double decay, uint32_t seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  const auto make = [&](size_t rows) {
    std::vector<float> values(rows * kDim);
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = normal(engine) * static_cast<float>(std::exp(-decay * (i % kDim)));
    }
    return values;
  };
  return {make(kRows), make(kQueries)};
}

// Dimensions that repeat what the first eight say, with noise: of equal energy, but the first say
// most. Not what a principal component analysis leaves behind.
Vectors MakeMatryoshka(uint32_t seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  const auto make = [&](size_t rows) {
    std::vector<float> values(rows * kDim);
    for (size_t row = 0; row < rows; ++row) {
      float* at = values.data() + row * kDim;
      for (uint32_t i = 0; i < 8; ++i) at[i] = normal(engine);
      for (uint32_t i = 8; i < kDim; ++i) at[i] = 0.7F * at[i % 3] + 0.35F * normal(engine);
      for (uint32_t i = 0; i < 8; ++i) at[i] += 0.3F * at[(i + 3) % 8];
    }
    return values;
  };
  return {make(kRows), make(kQueries)};
}

std::vector<float> InRandomOrder(const std::vector<float>& values) {
  std::vector<uint32_t> order(kDim);
  std::iota(order.begin(), order.end(), 0U);
  std::shuffle(order.begin(), order.end(), std::mt19937(9));
  std::vector<float> out(values.size());
  for (size_t i = 0; i < values.size(); ++i) out[i] = values[i - i % kDim + order[i % kDim]];
  return out;
}

DimensionReportInput InputOf(const Vectors& vectors) {
  DimensionReportInput input;
  input.documents = {vectors.documents.data(), kRows, kDim};
  input.queries = {vectors.queries.data(), kQueries, kDim};
  input.ladder = {8, 16, 32, 64};
  return input;
}

DimensionReport Analyse(const DimensionReportInput& input) {
  const auto report = AnalyseDimensions(input, {});
  EXPECT_TRUE(report.ok()) << report.status();
  return report.value_or(DimensionReport());
}

TEST(AnalyseDimensions, TellsUsefulPrefixesFromOthers) {
  const Vectors matryoshka = MakeMatryoshka(1);
  EXPECT_EQ(Analyse(InputOf(matryoshka)).verdict, Verdict::kUseful);
  const Vectors shuffled = {InRandomOrder(matryoshka.documents), InRandomOrder(matryoshka.queries)};
  EXPECT_EQ(Analyse(InputOf(shuffled)).verdict, Verdict::kNotUseful);
  EXPECT_EQ(Analyse(InputOf(MakeVectors(0, 2))).verdict, Verdict::kNotUseful);
  EXPECT_EQ(Analyse(InputOf(MakeVectors(0.05, 3))).verdict, Verdict::kRotated);
}

TEST(AnalyseDimensions, AgreesWithCountingByHand) {
  const Vectors vectors = MakeVectors(0.05, 4);
  DimensionReportInput input = InputOf(vectors);
  input.metric = Metric::kInnerProduct;
  input.keeps = {10, 50};
  const DimensionReport report = Analyse(input);
  const auto top = [&](size_t query, uint32_t dims, size_t count) {
    std::vector<std::pair<double, size_t>> scored;
    for (size_t row = 0; row < kRows; ++row) {
      const float* values = vectors.documents.data() + row * kDim;
      const float* asked = vectors.queries.data() + query * kDim;
      scored.emplace_back(-std::inner_product(values, values + dims, asked, 0.0), row);
    }
    std::sort(scored.begin(), scored.end());
    std::vector<size_t> rows;
    for (size_t i = 0; i < count; ++i) rows.push_back(scored[i].second);
    std::sort(rows.begin(), rows.end());
    return rows;
  };
  for (const auto& [keep, place] : {std::pair(10, 0), std::pair(50, 1)}) {
    double found = 0;
    for (size_t query = 0; query < kQueries; ++query) {
      const auto truth = top(query, kDim, 10);
      const auto listed = top(query, 16, static_cast<size_t>(keep));
      std::vector<size_t> both;
      std::set_intersection(truth.begin(), truth.end(), listed.begin(), listed.end(),
                            std::back_inserter(both));
      found += static_cast<double>(both.size());
    }
    EXPECT_NEAR(report.prefixes[1].shortlist[static_cast<size_t>(place)], found / 10 / kQueries,
                2e-3);
  }
  EXPECT_DOUBLE_EQ(report.prefixes[1].recall, report.prefixes[1].shortlist[0]);
}

TEST(AnalyseDimensions, TheFullVectorAgreesWithItself) {
  const DimensionReport report = Analyse(InputOf(MakeVectors(0.05, 5)));
  const PrefixQuality& full = report.prefixes.back();
  EXPECT_EQ(full.dims, kDim);
  EXPECT_DOUBLE_EQ(full.recall, 1);
  EXPECT_NEAR(full.overlap, 1, 1e-9);
  EXPECT_NEAR(full.kendall, 1, 1e-9);
  EXPECT_NEAR(full.energy, 1, 1e-9);
  EXPECT_LT(report.prefixes[0].kendall, report.prefixes[2].kendall);
  EXPECT_LT(report.prefixes[0].energy, report.prefixes[1].energy);
  EXPECT_THAT(report.keeps, ElementsAre(10, 20, 50, 100, 200));
}

TEST(AnalyseDimensions, AQueryDoesNotFindItself) {
  const Vectors vectors = MakeVectors(0, 6);
  DimensionReportInput input = InputOf(vectors);
  input.queries = {vectors.documents.data(), 10, kDim};
  input.k = 1;
  // Of random vectors only itself would be found by a short prefix.
  EXPECT_GT(Analyse(input).prefixes[0].recall, 0.9);
  for (size_t i = 0; i < 10; ++i) input.own_rows.push_back(i);
  EXPECT_LT(Analyse(input).prefixes[0].recall, 0.5);
}

TEST(AnalyseDimensions, RefusesWhatCannotBeCompared) {
  const Vectors vectors = MakeVectors(0, 7);
  const auto expect_refused = [&](const DimensionReportInput& input, const std::string& message) {
    const auto report = AnalyseDimensions(input, {});
    EXPECT_EQ(report.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(report.status().message()), HasSubstr(message));
  };
  DimensionReportInput input = InputOf(vectors);
  input.queries.rows = 0;
  expect_refused(input, "there are no queries");
  input = InputOf(vectors);
  input.queries.dim = 32;
  expect_refused(input, "the queries have 32 dimensions, the vectors have 64");
  input = InputOf(vectors);
  input.documents.rows = 2;
  expect_refused(input, "there are 2 vectors; 3 at least are needed");
  input = InputOf(vectors);
  input.k = kRows;
  expect_refused(input, "k is 800; it goes from 1 to 799");
}

TEST(Advice, BeginsWithTheVerdictAndNamesAPrefix) {
  DimensionReport report = Analyse(InputOf(MakeMatryoshka(8)));
  EXPECT_THAT(Advice(report)[0], HasSubstr("Prefixes are useful: "));
  EXPECT_THAT(Advice(report)[1], HasSubstr("The shortest prefix whose shortlist holds 95 %"));
  report.verdict = Verdict::kNotUseful;
  EXPECT_THAT(Advice(report)[0], HasSubstr("Prefixes are not useful: "));
}

TEST(RanksOf, CountsLargerKeysAndLeavesOneOut) {
  const std::vector<float> keys = {0.5F, 0.9F, 0.5F, 0.1F, 0.7F};
  EXPECT_THAT(RanksOf(keys, std::vector<uint32_t>{1, 0, 3}, kNoRow), ElementsAre(0, 2, 4));
  EXPECT_THAT(RanksOf(keys, std::vector<uint32_t>{2, 3}, 1), ElementsAre(1, 3));
  EXPECT_THAT(TopRows(keys, 3, 1), ElementsAre(4, 0, 2));
  EXPECT_THAT(TopRows(keys, 9, kNoRow), ElementsAre(1, 4, 0, 2, 3));
}

TEST(KendallTau, IsOneInOrderMinusOneReversedAndZeroForTies) {
  const std::vector<float> keys = {3, 2, 1};
  EXPECT_DOUBLE_EQ(KendallTau(std::vector<uint32_t>{0, 1, 2}, keys), 1);
  EXPECT_DOUBLE_EQ(KendallTau(std::vector<uint32_t>{2, 1, 0}, keys), -1);
  EXPECT_DOUBLE_EQ(KendallTau(std::vector<uint32_t>{0, 2, 1}, keys), 1.0 / 3);
  EXPECT_DOUBLE_EQ(KendallTau(std::vector<uint32_t>{0, 1}, std::vector<float>{1, 1}), 0);
}

}  // namespace
}  // namespace mrl::tune
