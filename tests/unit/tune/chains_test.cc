#include "index/tune/chains.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <limits>
#include <random>

namespace mrl::tune {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Schema MakeSchema() {
  Schema schema;
  schema.dim = 64;
  schema.ladder = {8, 16, 32, 64};
  schema.codes = {{8, 8}, {16, 8}};
  return schema;
}

// Two scans, and re-ranks at every level; ranks grow with the neighbour's luck and fall with dims.
ChainInput MakeInput(const Schema& schema) {
  ChainInput input;
  input.schema = &schema;
  input.pairs = 300;
  input.k = 10;
  input.rows = 1000;
  std::mt19937 engine(3);
  std::exponential_distribution<double> luck;
  std::vector<double> lucks(input.pairs);
  for (double& one : lucks) one = luck(engine);
  const auto ranks = [&](double scale) {
    Ranks made;
    for (const double one : lucks) {
      made.push_back(static_cast<uint32_t>(scale * (one + 0.3 * luck(engine))));
    }
    return made;
  };
  for (const uint32_t dims : {8U, 16U}) {
    input.coarse.push_back({.kind = "scan",
                            .params = {},
                            .stage = {dims, 8, 1000},
                            .ranks = ranks(2400.0 / dims),
                            .costs = {{10, dims * 10.0}, {1000, dims * 10.0 + 50}}});
  }
  for (int level = 0; level < 4; ++level) {
    const uint32_t dims = schema.ladder[static_cast<size_t>(level)];
    input.levels.push_back({1, dims * 0.01});
    input.reranks.push_back({.stage = {dims, 0, 0},
                             .level = level,
                             .ranks = level < 3 ? ranks(600.0 / dims) : Ranks{},
                             .cost = {}});
  }
  return input;
}

// The cheapest chain with up to one middle stage, by trying all.
double CheapestByTrying(const ChainInput& input, double target) {
  const std::vector<uint32_t> grid = KeepGrid(input.k, 1000);
  const auto survives = [&](const Ranks& a, uint32_t keep_a, const Ranks* b, uint32_t keep_b) {
    size_t alive = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      alive += a[i] < keep_a && (b == nullptr || (*b)[i] < keep_b) ? 1 : 0;
    }
    return static_cast<double>(alive) >= target * static_cast<double>(input.pairs) - 1e-9;
  };
  const auto rows_cost = [&](int from, int to, uint32_t rows) {
    double micros = 1;
    for (int level = from + 1; level <= to; ++level) {
      micros += input.levels[static_cast<size_t>(level)].per_row_us * rows;
    }
    return micros;
  };
  double best = std::numeric_limits<double>::infinity();
  for (const CoarseOption& coarse : input.coarse) {
    for (const uint32_t keep : grid) {
      const double scan = coarse.MicrosAt(keep);
      if (survives(coarse.ranks, keep, nullptr, 0)) {
        best = std::min(best, scan + rows_cost(-1, 3, keep));
      }
      for (size_t level = 0; level < 3; ++level) {
        const RerankOption& rerank = input.reranks[level];
        if (BitsRead(*input.schema, rerank.stage) <= BitsRead(*input.schema, coarse.stage))
          continue;
        for (const uint32_t less : grid) {
          if (less >= keep || !survives(coarse.ranks, keep, &rerank.ranks, less)) continue;
          best = std::min(
              best, scan + rows_cost(-1, rerank.level, keep) + rows_cost(rerank.level, 3, less));
        }
      }
    }
  }
  return best;
}

TEST(CheapestChains, FindsWhatTryingAllFinds) {
  const Schema schema = MakeSchema();
  ChainInput input = MakeInput(schema);
  input.middle_stages_max = 1;
  for (const double target : {0.5, 0.8, 0.9, 0.95}) {
    const std::vector<Chain> chains = CheapestChains(input, target, 5);
    ASSERT_FALSE(chains.empty()) << target;
    EXPECT_DOUBLE_EQ(chains.front().micros, CheapestByTrying(input, target)) << target;
    EXPECT_GE(chains.front().survival, target);
  }
}

TEST(CheapestChains, ComeCheapestFirstOnePerSequenceOfStages) {
  const Schema schema = MakeSchema();
  const ChainInput input = MakeInput(schema);
  const std::vector<Chain> chains = CheapestChains(input, 0.9, 50);
  ASSERT_GT(chains.size(), 2u);
  for (size_t i = 1; i < chains.size(); ++i) {
    EXPECT_LE(chains[i - 1].micros, chains[i].micros);
    EXPECT_LE(chains[i].micros, chains[0].micros * input.slack);
    EXPECT_FALSE(chains[i].coarse == chains[i - 1].coarse &&
                 chains[i].reranks == chains[i - 1].reranks);
  }
  EXPECT_EQ(CheapestChains(input, 0.9, 2).size(), 2u);
}

TEST(CheapestChains, MoreMiddleStagesAreNeverDearer) {
  const Schema schema = MakeSchema();
  ChainInput input = MakeInput(schema);
  double last = std::numeric_limits<double>::infinity();
  for (const size_t stages : {0U, 1U, 2U}) {
    input.middle_stages_max = stages;
    const double micros = CheapestChains(input, 0.9, 1).front().micros;
    EXPECT_LE(micros, last);
    last = micros;
  }
}

TEST(CheapestChains, AreNoneWhereNeighboursAreOutOfReach) {
  const Schema schema = MakeSchema();
  ChainInput input = MakeInput(schema);
  for (CoarseOption& coarse : input.coarse) coarse.ranks[7] = kNotRanked;
  EXPECT_THAT(CheapestChains(input, 1, 5), IsEmpty());
  EXPECT_FALSE(CheapestChains(input, 0.9, 5).empty());
}

TEST(CheapestChains, BecomeFunnelsWithEveryKeepWrittenOut) {
  const Schema schema = MakeSchema();
  const ChainInput input = MakeInput(schema);
  const Chain chain = {.coarse = 1, .reranks = {2, 3}, .keeps = {100, 20}};
  EXPECT_EQ(funnel::FormatFunnel(ToFunnel(input, chain)), "scan/16b8:100,32:20,64:10");
}

TEST(KeepGrid, GrowsFromKByAQuarterToTheEnd) {
  EXPECT_THAT(KeepGrid(10, 24), ElementsAre(10, 13, 17, 22, 24));
  EXPECT_THAT(KeepGrid(10, 10), ElementsAre(10));
  EXPECT_THAT(KeepGrid(10, 3), ElementsAre(10));
  EXPECT_THAT(KeepGrid(1, 5), ElementsAre(1, 2, 3, 4, 5));
}

TEST(CoarseOption, TimeIsLinearBetweenMeasuredKeeps) {
  CoarseOption option;
  option.costs = {{10, 100}, {40, 130}, {160, 500}};
  EXPECT_DOUBLE_EQ(option.MicrosAt(5), 100);
  EXPECT_DOUBLE_EQ(option.MicrosAt(25), 115);
  EXPECT_DOUBLE_EQ(option.MicrosAt(40), 130);
  EXPECT_DOUBLE_EQ(option.MicrosAt(1000), 500);
}

}  // namespace
}  // namespace mrl::tune
