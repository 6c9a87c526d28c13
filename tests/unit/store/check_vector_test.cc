#include "index/store/check_vector.h"

#include <cmath>
#include <limits>

#include "gtest/gtest.h"
#include "index/store/segment.h"
#include "index/store/stored_row.h"
#include "tests/unit/store/rows.h"

namespace mrl::store {
namespace {

VectorProblem Check(const Schema& schema, float value, float others = 0.5F) {
  std::vector<float> vector(schema.dim, others);
  vector[17] = value;
  return CheckVector(schema, vector.data());
}

TEST(CheckedVector, IsFinite) {
  for (const float value : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    EXPECT_EQ(Check(SmallSchema(), value), VectorProblem::kNotFinite);
    EXPECT_EQ(Check(SmallSchema(Metric::kL2, StorageType::kF16), value), VectorProblem::kNotFinite);
  }
  EXPECT_EQ(Check(SmallSchema(), 1), VectorProblem::kNone);
}

TEST(CheckedVector, FitsTheStorageType) {
  const Schema f16 = SmallSchema(Metric::kCosine, StorageType::kF16);
  EXPECT_EQ(Check(f16, 65504), VectorProblem::kNone);
  EXPECT_EQ(Check(f16, 65519), VectorProblem::kNone);  // rounds to 65504
  EXPECT_EQ(Check(f16, 65520), VectorProblem::kBeyondStorage);
  EXPECT_EQ(Check(f16, -1e30F), VectorProblem::kBeyondStorage);
  EXPECT_EQ(Check(SmallSchema(), -1e5F), VectorProblem::kNone);
  const Schema bf16 = SmallSchema(Metric::kInnerProduct, StorageType::kBf16);
  EXPECT_EQ(Check(bf16, std::nextafter(0x1.FFp127F, 0.0F)), VectorProblem::kNormOverflow);
  EXPECT_EQ(Check(bf16, 0x1.FFp127F), VectorProblem::kBeyondStorage);
  EXPECT_EQ(Check(bf16, -std::numeric_limits<float>::max()), VectorProblem::kBeyondStorage);
}

TEST(CheckedVector, HasADirectionUnderCosine) {
  EXPECT_EQ(Check(SmallSchema(), 0, 0), VectorProblem::kZeroNorm);
  EXPECT_EQ(Check(SmallSchema(), -0.0F, 0), VectorProblem::kZeroNorm);
  EXPECT_EQ(Check(SmallSchema(Metric::kInnerProduct), 0, 0), VectorProblem::kNone);
  EXPECT_EQ(Check(SmallSchema(Metric::kL2), 0, 0), VectorProblem::kNone);
  EXPECT_EQ(Check(SmallSchema(Metric::kCosine, StorageType::kF16), 1e-9F, 0),
            VectorProblem::kNormUnderflow);
}

TEST(CheckedVector, HasANormThatF32Holds) {
  EXPECT_EQ(Check(SmallSchema(), 1e20F), VectorProblem::kNormOverflow);
  EXPECT_EQ(Check(SmallSchema(Metric::kL2), 1e20F), VectorProblem::kNormOverflow);
  EXPECT_EQ(Check(SmallSchema(), 1e18F), VectorProblem::kNone);
  EXPECT_EQ(Check(SmallSchema(), 1e-20F, 0), VectorProblem::kNormUnderflow);
  EXPECT_EQ(Check(SmallSchema(), 1e-18F, 0), VectorProblem::kNone);
  EXPECT_EQ(Check(SmallSchema(Metric::kInnerProduct), 1e-20F, 0), VectorProblem::kNone);
}

// One value of 1 and others that are stored twice as large as they are: int8's worst case.
TEST(CheckedVector, HasANormThatF32HoldsOnceItIsRounded) {
  for (const StorageType storage : {StorageType::kBf16, StorageType::kInt8}) {
    Schema schema = SmallSchema(Metric::kInnerProduct, storage);
    schema.dim = 65536;
    schema.ladder = {65536};
    std::vector<float> vector(schema.dim, 0.5001F / 127);
    vector[17] = 1;
    const auto scaled_by = [&](float factor) {
      std::vector<float> scaled = vector;
      for (float& value : scaled) value *= factor;
      return scaled;
    };
    std::vector<float> stored = scaled_by(6e18F);
    EXPECT_EQ(CheckVector(schema, stored.data()), VectorProblem::kNone);
    RoundToStorage(schema, stored.data());
    double squares = 0;
    for (const float value : stored) squares += double{value} * value;
    EXPECT_LT(squares, std::numeric_limits<float>::max());
    EXPECT_EQ(CheckVector(schema, scaled_by(7e18F).data()), VectorProblem::kNormOverflow);
  }
}

TEST(VectorProblems, AreDescribed) {
  EXPECT_EQ(ToString(VectorProblem::kNotFinite), "a value is NaN or infinite");
  EXPECT_EQ(ToString(VectorProblem::kBeyondStorage),
            "a value is beyond the range of the storage type");
  EXPECT_EQ(ToString(VectorProblem::kZeroNorm), "its norm is zero, which COSINE cannot compare");
}

std::string Description(const Schema& schema, float value, float others = 0.5F) {
  std::vector<float> vector(schema.dim, others);
  vector[17] = value;
  return Describe(CheckVector(schema, vector.data()), schema, vector.data());
}

TEST(VectorProblems, AreDescribedWithTheValue) {
  const Schema f16 = SmallSchema(Metric::kCosine, StorageType::kF16);
  EXPECT_EQ(Description(SmallSchema(), std::nanf(""), 1e5F),
            "a value is NaN or infinite: nan at dimension 17");
  EXPECT_EQ(Description(f16, -HUGE_VALF), "a value is NaN or infinite: -inf at dimension 17");
  EXPECT_EQ(Description(f16, -70'000),
            "a value is beyond the range of f16 (65504): -70000 at dimension 17");
  EXPECT_EQ(Description(SmallSchema(Metric::kL2, StorageType::kBf16), -0x1.FFp127F),
            "a value is beyond the range of bf16 (3.38953e+38): -3.39618e+38 at dimension 17");
  EXPECT_EQ(Description(SmallSchema(Metric::kL2, StorageType::kInt8), 1e19F, 0),
            "its norm overflows f32: its square is 1e+38, the limit 8.50706e+37");
  EXPECT_EQ(Description(SmallSchema(), 1e20F, 0),
            "its norm overflows f32: its square is 1e+40, the limit 3.40282e+38");
  EXPECT_EQ(Description(SmallSchema(), 1e-20F, 0),
            "its norm underflows f32: its square is 1e-40, the least 1.17549e-38");
  EXPECT_EQ(Description(f16, 1e-9F, 0), "its norm underflows f32: every value is zero in f16");
  EXPECT_EQ(Description(f16, 0, 0), "its norm is zero, which COSINE cannot compare");
}

}  // namespace
}  // namespace mrl::store
