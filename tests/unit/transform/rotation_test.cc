#include "index/transform/rotation.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/transform/transform.h"

namespace mrl::transform {
namespace {

using ::testing::HasSubstr;

constexpr uint32_t kDim = 37;  // no multiple of a vector register
constexpr size_t kRows = 500;

// Correlated rows: five directions, hidden in all dimensions, and a little of everything.
std::vector<float> PlainRows(size_t rows, uint32_t dim, uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<float> directions(5 * dim);
  for (float& value : directions) value = normal(engine);
  std::vector<float> out(rows * dim);
  for (size_t row = 0; row < rows; ++row) {
    for (size_t i = 0; i < 5; ++i) {
      const float weight = normal(engine) * static_cast<float>(5 - i) + 1;
      for (size_t j = 0; j < dim; ++j) out[row * dim + j] += weight * directions[i * dim + j];
    }
    for (size_t j = 0; j < dim; ++j) out[row * dim + j] += 0.3f * normal(engine);
  }
  return out;
}

double Dot(const float* a, const float* b, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

TEST(LearnRotation, GivesAnOrthogonalMatrix) {
  const auto rotation = LearnRotation(PlainRows(kRows, kDim, 1), kDim, false);
  ASSERT_TRUE(rotation.ok()) << rotation.status();
  const float* matrix = rotation->matrix->data();
  for (size_t i = 0; i < kDim; ++i) {
    for (size_t j = 0; j <= i; ++j) {
      EXPECT_NEAR(Dot(matrix + i * kDim, matrix + j * kDim, kDim), i == j ? 1 : 0, 1e-6) << i << j;
    }
  }
}

TEST(LearnRotation, PutsWhatRowsHaveInCommonIntoTheFirstDimensions) {
  std::vector<float> rows = PlainRows(kRows, kDim, 2);
  const auto rotation = LearnRotation(rows, kDim, false);
  ASSERT_TRUE(rotation.ok()) << rotation.status();
  RotateRows(*rotation, kDim, &rows);
  std::vector<double> energy(kDim);
  double all = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    energy[i % kDim] += rows[i] * rows[i];
    all += rows[i] * rows[i];
  }
  for (size_t i = 1; i < kDim; ++i) EXPECT_LE(energy[i], energy[i - 1] * (1 + 1e-6)) << i;
  EXPECT_GT((energy[0] + energy[1] + energy[2] + energy[3] + energy[4]) / all, 0.95);
  // The products of two dimensions cancel out over the rows: nothing is left to rotate.
  double product = 0;
  for (size_t row = 0; row < kRows; ++row) product += rows[row * kDim] * rows[row * kDim + 1];
  EXPECT_NEAR(product / energy[0], 0, 1e-5);
}

TEST(LearnRotation, CountsDirectionsAlikeWhenToldTo) {
  // One row is as long as all others together, along the last dimension.
  std::vector<float> rows(kRows * kDim);
  std::mt19937_64 engine(3);
  std::normal_distribution<float> normal;
  for (size_t row = 0; row < kRows; ++row) {
    rows[row * kDim] = row % 2 == 0 ? 1.0f : -1.0f;
    for (size_t j = 1; j + 1 < kDim; ++j) rows[row * kDim + j] = 0.01f * normal(engine);
  }
  rows[kDim - 1] = 1e4f;
  const auto by_length = LearnRotation(rows, kDim, false);
  const auto by_direction = LearnRotation(rows, kDim, true);
  ASSERT_TRUE(by_length.ok() && by_direction.ok());
  EXPECT_GT(by_length->matrix->at(kDim - 1), 0.99f);
  EXPECT_GT(by_direction->matrix->at(0), 0.99f);
  EXPECT_FALSE(*by_length == *by_direction);
}

TEST(LearnRotation, NeedsAsManyRowsAsDimensionsAndHasALimit) {
  const auto few = LearnRotation(PlainRows(kDim - 1, kDim, 4), kDim, true);
  EXPECT_EQ(few.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(few.status().message()), HasSubstr("needs 37 vectors"));
  const auto wide = LearnRotation({}, Schema::kRotationDimMax + 1, true);
  EXPECT_EQ(wide.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(wide.status().message()), HasSubstr("4097 dimensions; 1 to 4096"));
}

class Rotation : public ::testing::TestWithParam<uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Dims, Rotation, ::testing::Values(kDim, 1024));

// By the same code that turns points and queries: as float32, to 1e-5 of the vectors' lengths.
TEST_P(Rotation, KeepsScoresOfWholeVectorsAndIsUndone) {
  const uint32_t dim = GetParam();
  const auto rotation = LearnRotation(PlainRows(std::max<size_t>(kRows, dim), dim, 5), dim, true);
  ASSERT_TRUE(rotation.ok()) << rotation.status();
  Schema schema;
  schema.dim = dim;
  schema.transform = Transform::kRotation;
  schema.rotation = *rotation;
  const std::vector<float> rows = PlainRows(40, dim, 6);  // not those it was learned from
  std::vector<float> rotated = rows;
  RotateRows(*rotation, dim, &rotated);
  for (size_t row = 0; row < 40; ++row) {
    const float* x = rows.data() + row * dim;
    const double norm = std::sqrt(Dot(x, x, dim));
    std::vector<float> one(x, x + dim);
    Apply(schema, one.data(), dim, one.data());
    for (size_t i = 0; i < dim; ++i) EXPECT_NEAR(one[i], rotated[row * dim + i], 1e-6 * norm);
    for (size_t other = 0; other <= row; ++other) {
      const float* y = rows.data() + other * dim;
      const double norms = norm * std::sqrt(Dot(y, y, dim));
      EXPECT_NEAR(Dot(one.data(), rotated.data() + other * dim, dim), Dot(x, y, dim), 1e-5 * norms)
          << row << " with " << other;
    }
    Undo(schema, nullptr, one.data());
    for (size_t i = 0; i < dim; ++i) EXPECT_NEAR(one[i], x[i], 2e-6 * norm) << row;
  }
}

TEST(ParseRotation, TakesWhatSerializeMakesAndNothingElse) {
  const auto rotation = LearnRotation(PlainRows(kRows, kDim, 7), kDim, true);
  ASSERT_TRUE(rotation.ok()) << rotation.status();
  std::string bytes = Serialize(*rotation);
  const auto parsed = ParseRotation(bytes, kDim, rotation->checksum);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(*parsed->matrix, *rotation->matrix);
  EXPECT_EQ(ParseRotation(bytes, kDim, rotation->checksum + 1).status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(ParseRotation(bytes, kDim + 1, rotation->checksum).status().code(),
            absl::StatusCode::kDataLoss);
  bytes[100] = static_cast<char>(bytes[100] ^ 1);
  EXPECT_EQ(ParseRotation(bytes, kDim, rotation->checksum).status().code(),
            absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace mrl::transform
