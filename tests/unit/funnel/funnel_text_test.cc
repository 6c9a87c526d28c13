#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/funnel/plan.h"

namespace mrl::funnel {
namespace {

using ::testing::HasSubstr;

TEST(FunnelText, ReadsKindParametersAndStages) {
  const auto funnel = ParseFunnel("faiss(nprobe=8,x=0.5)/64:400,128b8:20,512");
  ASSERT_TRUE(funnel.ok()) << funnel.status();
  EXPECT_EQ(*funnel, (Funnel{.kind = "faiss",
                             .params = {{"nprobe", 8}, {"x", 0.5}},
                             .stages = {{64, 0, 400}, {128, 8, 20}, {512, 0, 0}}}));
}

TEST(FunnelText, LeavesTheKindOpenWhereNoneIsNamed) {
  const auto funnel = ParseFunnel(" 16b8:200 , 32:100 ");
  ASSERT_TRUE(funnel.ok()) << funnel.status();
  EXPECT_EQ(*funnel, (Funnel{.kind = "", .params = {}, .stages = {{16, 8, 200}, {32, 0, 100}}}));
}

TEST(FunnelText, ComesBackAsItWasWritten) {
  for (const std::string text :
       {"16:200,32:100,64:50,128:25,512:10", "scan/16b8:2000,256:10", "256",
        "faiss(efSearch=64,nprobe=8)/64:400,512:10",
        "graph(efSearch=512,gamma=0.3)/512b1:400,1024:10", "faiss(x=0.30000000000000004)/64:4"}) {
    const auto funnel = ParseFunnel(text);
    ASSERT_TRUE(funnel.ok()) << funnel.status();
    EXPECT_EQ(FormatFunnel(*funnel), text);
  }
}

struct Bad {
  const char* text;
  const char* message;
};
class BadFunnelText : public ::testing::TestWithParam<Bad> {};

TEST_P(BadFunnelText, IsRefusedWithItsProblem) {
  const auto funnel = ParseFunnel(GetParam().text);
  ASSERT_FALSE(funnel.ok());
  EXPECT_EQ(funnel.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(funnel.status().message()), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Texts, BadFunnelText,
    ::testing::Values(Bad{"", "stage `` does not begin with its dims"},
                      Bad{"scan/", "stage `` does not begin with its dims"},
                      Bad{"16:200,", "stage `` does not begin with its dims"},
                      Bad{"abc:3", "stage `abc:3` does not begin with its dims"},
                      Bad{"-16:3", "stage `-16:3` does not begin with its dims"},
                      Bad{"0:3", "stage `0:3` does not begin with its dims"},
                      Bad{"16b:3", "no number of bits"}, Bad{"16b0:3", "no number of bits"},
                      Bad{"16:0", "keep is not a number from 1 to 1000000"},
                      Bad{"16:", "keep is not a number"},
                      Bad{"16:99999999999", "keep is not a number"},
                      Bad{"16:5:6", "keep is not a number"}, Bad{"16:+5", "keep is not a number"},
                      Bad{"/16:5", "`` is not the name of a coarse kind"},
                      Bad{"sc an/16:5", "`sc an` is not the name of a coarse kind"},
                      Bad{"faiss(nprobe=8/16:5", "do not end with `)`"},
                      Bad{"faiss(nprobe)/16:5", "`nprobe` is not name=number"},
                      Bad{"faiss(nprobe=many)/16:5", "`nprobe=many` is not name=number"},
                      Bad{"faiss(nprobe=nan)/16:5", "`nprobe=nan` is not name=number"},
                      Bad{"faiss()/16:5", "`` is not name=number"},
                      Bad{"faiss(a=1,a=2)/16:5", "the parameter `a` comes twice"}));

}  // namespace
}  // namespace mrl::funnel
