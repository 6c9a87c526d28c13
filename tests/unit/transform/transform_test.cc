#include "index/transform/transform.h"

#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mrl::transform {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::FloatNear;

TEST(LayerNorm, CentersAndScalesToUnitVariance) {
  const std::vector<float> x = {1, 2, 3, 6};
  std::vector<float> out(4);
  float mean = 0;
  float deviation = 0;
  LayerNorm(x.data(), 4, out.data(), &mean, &deviation);
  EXPECT_FLOAT_EQ(mean, 3);
  EXPECT_FLOAT_EQ(deviation, std::sqrt(3.5f + 1e-5f));
  EXPECT_THAT(out, ElementsAre(FloatNear(-1.069043f, 1e-6f), FloatNear(-0.534522f, 1e-6f),
                               FloatNear(0, 1e-6f), FloatNear(1.603565f, 1e-6f)));
}

TEST(LayerNorm, TurnsAConstantVectorIntoZeros) {
  std::vector<float> x(7, 1e6f);
  LayerNorm(x.data(), x.size(), x.data(), nullptr, nullptr);
  EXPECT_THAT(x, Each(0.0f));
}

TEST(LayerNorm, KeepsSmallDifferencesOnALargeMean) {
  const std::vector<float> x = {8388608, 8388609, 8388610, 8388611};
  std::vector<float> out(4);
  LayerNorm(x.data(), 4, out.data(), nullptr, nullptr);
  const double spread = std::sqrt(1.25 + 1e-5);
  EXPECT_FLOAT_EQ(out[0], static_cast<float>(-1.5 / spread));
  EXPECT_FLOAT_EQ(out[3], static_cast<float>(1.5 / spread));
}

Schema SchemaOf(uint32_t dim, Transform transform) {
  Schema schema;
  schema.dim = dim;
  schema.transform = transform;
  return schema;
}

TEST(Undo, GivesBackWhatLayerNormTook) {
  const Schema schema = SchemaOf(5, Transform::kLayerNorm);
  const std::vector<float> x = {0.25f, -3, 12.5f, 0.125f, 7};
  std::vector<float> out(5);
  float moments[2];
  Apply(schema, x.data(), 5, out.data(), &moments[0], &moments[1]);
  Undo(schema, moments, out.data());
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(out[i], x[i], 1e-5) << i;
}

TEST(Apply, CopiesUnderNoneAndNormalisesUnderLayerNorm) {
  const std::vector<float> x = {3, 5};
  std::vector<float> out(2);
  Apply(SchemaOf(2, Transform::kNone), x.data(), 2, out.data());
  EXPECT_THAT(out, ElementsAre(3, 5));
  Apply(SchemaOf(2, Transform::kLayerNorm), x.data(), 2, out.data());
  EXPECT_THAT(out, ElementsAre(FloatNear(-1, 1e-5f), FloatNear(1, 1e-5f)));
}

}  // namespace
}  // namespace mrl::transform
