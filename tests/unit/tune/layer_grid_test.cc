#include "index/tune/layer_grid.h"

#include <gmock/gmock.h>

#include <random>

namespace mrl::tune {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint32_t kDim = 16;
constexpr size_t kRows = 300;
constexpr size_t kQueries = 40;

// The last layer's vectors seen through noise; more of it in shallower layers.
class LayerGridTest : public ::testing::Test {
 protected:
  LayerGridTest() {
    std::mt19937 engine(4);
    std::normal_distribution<float> normal;
    std::vector<float> truth((kRows + kQueries) * kDim);
    for (float& value : truth) value = normal(engine);
    for (const float noise : {1.0F, 0.4F, 0.0F}) {
      std::vector<float>& values = values_.emplace_back(truth);
      for (float& value : values) value += noise * normal(engine);
    }
    input_.ladder = {4, 8, 16};
    for (size_t i = 0; i < values_.size(); ++i) {
      input_.layers.push_back({std::to_string(4 * (i + 1)),
                               {values_[i].data(), kRows, kDim},
                               {values_[i].data() + kRows * kDim, kQueries, kDim}});
    }
  }

  std::vector<std::vector<float>> values_;
  LayerGridInput input_;
};

TEST_F(LayerGridTest, QualityGrowsWithLayersAndDimensions) {
  const LayerGrid grid = CompareLayers(input_, {}).value();
  EXPECT_THAT(grid.layers, ElementsAre("4", "8", "12"));
  EXPECT_THAT(grid.dims, ElementsAre(4, 8, 16));
  for (size_t layer = 0; layer < 3; ++layer) {
    for (size_t level = 0; level < 3; ++level) {
      const double shallower = layer == 0 ? 0 : grid.recall[layer - 1][level];
      const double shorter = level == 0 ? 0 : grid.recall[layer][level - 1];
      EXPECT_GT(grid.recall[layer][level], shallower);
      EXPECT_GT(grid.recall[layer][level], shorter);
    }
  }
  EXPECT_NEAR(grid.recall[2][2], 1, 1e-9);
}

TEST_F(LayerGridTest, ALayerIsBestAskedByTheTruth) {
  const LayerGrid grid = CompareLayers(input_, {}).value();
  for (size_t layer = 0; layer < 3; ++layer) {
    EXPECT_NEAR(grid.cross[layer][layer], grid.recall[layer][2], 1e-9);
  }
  EXPECT_GT(grid.cross[2][1], grid.cross[0][1]);
  EXPECT_GT(grid.cross[1][2], grid.cross[0][2]);
}

TEST_F(LayerGridTest, LayersThatDifferAreRefused) {
  input_.layers[0].documents.rows = kRows - 1;
  const auto rows = CompareLayers(input_, {});
  EXPECT_EQ(rows.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(rows.status().message()),
              HasSubstr("layer 4 has 299 rows of 16 dimensions, layer 12 has 300 of 16"));
  input_.layers.clear();
  EXPECT_EQ(CompareLayers(input_, {}).status(), absl::InvalidArgumentError("there are no layers"));
}

}  // namespace
}  // namespace mrl::tune
