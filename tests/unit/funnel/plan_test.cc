#include "index/funnel/plan.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mrl::funnel {
namespace {

using ::testing::HasSubstr;

Schema TheSchema() {
  Schema schema;
  schema.dim = 1024;
  schema.ladder = {16, 32, 64, 128, 256, 512, 1024};
  schema.codes = {{16, 8}, {32, 8}, {256, 8}};
  return schema;
}

class Planner : public ::testing::Test {
 protected:
  Planner() {
    input_.schema = &schema_;
    input_.kinds = {"scan", "faiss"};
    input_.query_dims = 1024;
  }
  void Ask(const std::string& text) {
    const auto funnel = ParseFunnel(text);
    ASSERT_TRUE(funnel.ok()) << funnel.status();
    input_.funnel = *funnel;
  }
  std::string PlanText() {
    const auto plan = MakePlan(input_);
    return plan.ok() ? plan->ToText() : plan.status().ToString();
  }

  Schema schema_ = TheSchema();
  PlanInput input_;
};

TEST_F(Planner, ScansTheStepNearestTo256AndEndsAtTheWholeVector) {
  EXPECT_EQ(PlanText(), "scan/256:400,1024:10");
  input_.k = 100;
  EXPECT_EQ(PlanText(), "scan/256:2000,1024:100");
  schema_.ladder = {96, 192, 384, 1024};
  schema_.codes = {};
  EXPECT_EQ(PlanText(), "scan/192:2000,1024:100");
}

TEST_F(Planner, EndsAtAShortQuery) {
  input_.query_dims = 512;
  EXPECT_EQ(PlanText(), "scan/256:400,512:10");
  input_.query_dims = 256;
  EXPECT_EQ(PlanText(), "scan/256:10");
  input_.query_dims = 16;
  EXPECT_EQ(PlanText(), "scan/16:10");
}

TEST_F(Planner, TakesThePrefixOfAnIndexThatHasOnlyOne) {
  input_.kinds = {"faiss", "scan"};
  input_.default_dims = 64;
  EXPECT_EQ(PlanText(), "faiss/64:400,1024:10");
  input_.query_dims = 64;
  EXPECT_EQ(PlanText(), "faiss/64:10");
}

TEST_F(Planner, ScansSignsWhereEnoughAreStored) {
  schema_.codes = {{16, 8}, {512, 1}};
  EXPECT_EQ(PlanText(), "scan/256b1:2000,512b1:400,1024:10");
  input_.k = 100;
  EXPECT_EQ(PlanText(), "scan/256b1:10000,512b1:2000,1024:100");
  input_.k = 10;
  input_.query_dims = 512;
  EXPECT_EQ(PlanText(), "scan/256b1:2000,512b1:400,512:10");
  input_.query_dims = 256;
  EXPECT_EQ(PlanText(), "scan/256b1:2000,256:10");
  input_.query_dims = 128;
  EXPECT_EQ(PlanText(), "scan/128:10");
  schema_.codes = {{128, 1}};
  input_.query_dims = 1024;
  EXPECT_EQ(PlanText(), "scan/256:400,1024:10");
}

TEST_F(Planner, ScansListsByTheCodesThatTheyHold) {
  schema_.codes = {{16, 8}, {512, 1}};
  input_.kinds = {"ivf_scan", "scan"};
  input_.kind_codes["ivf_scan"] = {256, 1};
  EXPECT_EQ(PlanText(), "ivf_scan/256b1:2000,512b1:400,1024:10");
  Ask("ivf_scan(nprobe=8)/128b1:500,512b1:60,1024");
  EXPECT_EQ(PlanText(), "ivf_scan(nprobe=8)/128b1:500,512b1:60,1024:10");
  Ask("512b1:500,1024");
  EXPECT_THAT(PlanText(), HasSubstr("stage 1: 512b1, the lists of ivf_scan hold 256b1"));
  Ask("64:500,1024");
  EXPECT_EQ(PlanText(), "ivf_scan/64:500,1024:10");
  input_.funnel.reset();
  input_.kind_codes["ivf_scan"] = {16, 8};
  EXPECT_EQ(PlanText(), "ivf_scan/256:400,1024:10");
}

TEST_F(Planner, WalksAGraphByTheSignsThatItHolds) {
  schema_.codes = {{16, 8}, {512, 1}};
  input_.kinds = {"graph", "scan"};
  input_.kind_codes["graph"] = {512, 1};
  EXPECT_EQ(PlanText(), "graph/512b1:400,1024:10");
  Ask("graph(efSearch=50)/256b1:100,512b1:60,1024");
  EXPECT_EQ(PlanText(), "graph(efSearch=50)/256b1:100,512b1:60,1024:10");
  Ask("64:500,1024");
  EXPECT_THAT(PlanText(),
              HasSubstr("stage 1: 64 dims without bits, a graph is walked by its code"));
  input_.kind_codes["graph"] = {256, 1};
  Ask("512b1:500,1024");
  EXPECT_THAT(PlanText(), HasSubstr("stage 1: 512b1, the graph is walked by 256b1"));
  Ask("scan/512b1:500,1024");
  EXPECT_EQ(PlanText(), "scan/512b1:500,1024:10");
}

TEST_F(Planner, LetsSignsGrowIntoMoreSignsAndRefusesWhatIsNotStored) {
  schema_.codes = {{512, 1}};
  Ask("128b1:4000,512b1:200,1024:10");
  EXPECT_EQ(PlanText(), "scan/128b1:4000,512b1:200,1024:10");
  Ask("1024b1:200,1024:10");
  EXPECT_THAT(PlanText(), HasSubstr("stage 1: the code 1024b1 is not stored, these are: 512b1"));
  Ask("512b1:200,256b1:100,1024:10");
  EXPECT_THAT(PlanText(), HasSubstr("stage 2: dims x bits is 256, it must be above the 512"));
}

TEST_F(Planner, KeepsStagesAsTheyAreAskedFor) {
  Ask("16:200,32:100,64:50,128:25,1024:10");
  EXPECT_EQ(PlanText(), "scan/16:200,32:100,64:50,128:25,1024:10");
  Ask("scan/16b8:200,16:100,32:50");
  EXPECT_EQ(PlanText(), "scan/16b8:200,16:100,32:10");
  Ask("faiss(nprobe=4)/64:200,1024");
  EXPECT_EQ(PlanText(), "faiss(nprobe=4)/64:200,1024:10");
}

TEST_F(Planner, CutsTheLastKeepToK) {
  Ask("16:200,1024:50");
  input_.k = 7;
  const auto plan = MakePlan(input_);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->k, 7);
  EXPECT_EQ(plan->stages.back().keep, 7);
}

TEST_F(Planner, PlansExactSearchAtTheQuerysLength) {
  input_.exact = true;
  input_.query_dims = 512;
  const auto plan = MakePlan(input_);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_TRUE(plan->exact);
  EXPECT_EQ(plan->ToText(), "exact");
  EXPECT_EQ(plan->stages, (std::vector<Stage>{{512, 0, 10}}));
}

TEST_F(Planner, CountsTheBitsOfHalfPrecisionStorage) {
  schema_.storage = StorageType::kF16;
  Ask("16:200,32b8:100,64:10");
  EXPECT_THAT(PlanText(), HasSubstr("stage 2: dims x bits is 256, it must be above the 256"));
  Ask("16b8:200,16:100,64:10");
  EXPECT_EQ(PlanText(), "scan/16b8:200,16:100,64:10");
}

struct Refusal {
  const char* funnel;
  const char* message;
};
class RefusedFunnel : public Planner, public ::testing::WithParamInterface<Refusal> {};

TEST_P(RefusedFunnel, NamesTheNumberAndItsLimit) {
  Ask(GetParam().funnel);
  input_.query_dims = 512;
  input_.default_dims = 0;
  const auto plan = MakePlan(input_);
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(plan.status().message()), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Funnels, RefusedFunnel,
    ::testing::Values(
        Refusal{"17:20,512:10", "stage 1: 17 dims are not on the ladder 16,32,64"},
        Refusal{"16:20,1024:10", "stage 2: 1024 dims, the query has 512"},
        Refusal{"16:20,512:21", "stage 2: keep grows to 21, stage 1 keeps 20"},
        Refusal{"16:20,512:9", "stage 2: keep is 9, it must be k = 10 at least"},
        Refusal{"16:5,512", "stage 2: keep grows to 10, stage 1 keeps 5"},
        Refusal{"16,512:10", "stage 1: keep is missing"},
        Refusal{"64:20,32:10",
                "stage 2: dims x bits is 1024, it must be above the 2048 of stage 1"},
        Refusal{"64:20,64:10",
                "stage 2: dims x bits is 2048, it must be above the 2048 of stage 1"},
        Refusal{"64b8:20,512:10",
                "stage 1: the code 64b8 is not stored, these are: 16b8,32b8,256b8"},
        Refusal{"16b1:20,512:10", "stage 1: the code 16b1 is not stored"},
        Refusal{"16:1000001,512:10", "stage 1: keep is 1000001, the limit is 1000000"},
        Refusal{"scan(nprobe=2)/16:20,512:10", "scan: unknown parameter `nprobe`, scan takes none"},
        Refusal{"gpu/16:20,512:10", "the coarse kind `gpu` is not built, these are: scan, faiss"},
        Refusal{"faiss/16b8:20,512:10", "stage 1: 16b8 is a code of the kind scan"},
        Refusal{"16:20,16:20,16:20,16:20,16:20,16:20,16:20,16:20,16:20,16:20,16:20,16:20,16:20,"
                "16:20,16:20,16:20,16:20",
                "the funnel has 17 stages, the limit is 16"}));

TEST_F(Planner, RefusesAnotherPrefixThanTheIndexHas) {
  input_.kinds = {"faiss"};
  input_.default_dims = 64;
  Ask("32:20,1024:10");
  EXPECT_THAT(PlanText(), HasSubstr("stage 1: 32 dims, the index `faiss` searches 64 only"));
  input_.funnel.reset();
  input_.query_dims = 32;
  EXPECT_THAT(PlanText(), HasSubstr("stage 1: 64 dims, the query has 32"));
}

TEST_F(Planner, RefusesCodesWhereNoScanIsBuilt) {
  input_.kinds = {"faiss"};
  Ask("16:20,32b8:15,1024:10");
  EXPECT_THAT(PlanText(), HasSubstr("stage 2: the code 32b8 is not stored, these are: none"));
}

TEST_F(Planner, RefusesKOutOfItsRange) {
  input_.k = 0;
  EXPECT_THAT(PlanText(), HasSubstr("k is 0, it goes from 1 to 10000"));
  input_.k = 10'001;
  EXPECT_THAT(PlanText(), HasSubstr("k is 10001, it goes from 1 to 10000"));
}

TEST_F(Planner, RefusesAQueryOffTheLadderOrShortUnderATransform) {
  input_.query_dims = 100;
  EXPECT_THAT(PlanText(), HasSubstr("the query has 100 dims, the ladder is 16,32"));
  input_.query_dims = 512;
  schema_.transform = Transform::kLayerNorm;
  EXPECT_THAT(PlanText(), HasSubstr("the query has 512 dims, under the transform layer_norm it "
                                    "needs all 1024"));
}

TEST_F(Planner, RefusesExactSearchThroughAFunnel) {
  Ask("16:20,1024:10");
  input_.exact = true;
  EXPECT_THAT(PlanText(), HasSubstr("exact search takes no funnel"));
}

TEST_F(Planner, RefusesACollectionWithoutACoarseIndex) {
  input_.kinds = {};
  EXPECT_THAT(PlanText(), HasSubstr("the collection has no coarse index"));
}

}  // namespace
}  // namespace mrl::funnel
