// The coarse index that `mrl-index build` chooses by itself.
#include <gmock/gmock.h>

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/unit/cli/program.h"

namespace mrl::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

class Choose : public Program {
 protected:
  Finished Make(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"build", "--input", WriteNpy("base.npy", Vectors(kRows)),
                                          "--output", *this / "index"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Run(arguments);
  }
  Json Kinds() const {
    return Json::parse(Run({"inspect", "--index", *this / "index", "--json"}).out)["coarse"];
  }
  Json Profiles() const {
    return Json::parse(Run({"profile", "list", "--index", *this / "index", "--json"}).out);
  }
};

TEST_F(Choose, FewRowsAreScanned) {
  const Finished run = Make({"--codes", "32b1"});
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("coarse index scan: ivf_scan is tried above 4000000 rows"));
  EXPECT_EQ(Kinds(), Json({"scan"}));
  // `above` does not include the number itself.
  const Finished all = Make({"--codes", "32b1", "--choose-above", "200", "--replace"});
  EXPECT_THAT(all.out, HasSubstr("coarse index scan: ivf_scan is tried above 200 rows"));
}

TEST_F(Choose, MoreRowsAreMeasuredAndOnlyTheWinnerStays) {
  const Finished run = Make({"--codes", "32b1", "--choose-above", "199"});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("by 200 of its rows, each left out of its own result"));
  EXPECT_THAT(run.out, HasSubstr("ivf_scan"));
  const Json kinds = Kinds();
  const std::string active = kinds[0];
  EXPECT_THAT(run.out, HasSubstr("coarse index " + active + ":")) << kinds;
  EXPECT_EQ(kinds.size(), active == "scan" ? 1U : 2U) << kinds;
  EXPECT_EQ(Profiles().size(), active == "scan" ? 0U : 1U) << Profiles();
  EXPECT_EQ(Run({"verify", "--index", *this / "index"}).code, 0);
}

TEST_F(Choose, WithoutCodesThereIsNothingToChoose) {
  const Finished run = Make({"--codes", "none", "--choose-above", "1"});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("coarse index scan: nothing else is worth an index here"));
  EXPECT_EQ(Kinds(), Json({"scan"}));
}

TEST_F(Choose, AKindThatIsNamedIsNotMeasured) {
  for (const std::string kind : {"scan", "ivf_scan"}) {
    const Finished run = Make({"--codes", "32b1", "--coarse", kind, "--replace"});
    EXPECT_EQ(run.code, 0) << run.err;
    EXPECT_THAT(run.out, Not(HasSubstr("coarse index")));
    EXPECT_EQ(Kinds()[0], kind);
  }
  const Finished both = Make({"--coarse", "scan", "--choose-above", "1"});
  EXPECT_EQ(both.code, 2);
  EXPECT_THAT(both.err, HasSubstr("--choose-above is of --coarse auto"));
  EXPECT_EQ(Make({"--choose-above", "0"}).code, 2);
}

}  // namespace
}  // namespace mrl::cli
