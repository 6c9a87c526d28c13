#include "index/store/check_vector.h"

#include <cmath>
#include <limits>

#include "gtest/gtest.h"
#include "index/store/segment.h"
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

TEST(VectorProblems, AreDescribed) {
  EXPECT_EQ(ToString(VectorProblem::kNotFinite), "a value is NaN or infinite");
  EXPECT_EQ(ToString(VectorProblem::kBeyondStorage), "a value is beyond the range of f16 (65504)");
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
  EXPECT_EQ(Description(SmallSchema(), 1e20F, 0),
            "its norm overflows f32: its square is 1e+40, the limit 3.40282e+38");
  EXPECT_EQ(Description(SmallSchema(), 1e-20F, 0),
            "its norm underflows f32: its square is 1e-40, the least 1.17549e-38");
  EXPECT_EQ(Description(f16, 1e-9F, 0), "its norm underflows f32: every value is zero in f16");
  EXPECT_EQ(Description(f16, 0, 0), "its norm is zero, which COSINE cannot compare");
}

}  // namespace
}  // namespace mrl::store
