#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/unit/cli/program.h"

namespace mrl::cli {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

class ProfileVerb : public Program {
 protected:
  void SetUp() override { BuildIndex(); }
  Finished Profile(std::vector<std::string> more) const {
    more.insert(more.begin(), "profile");
    more.insert(more.begin() + 2, {"--index", *this / "index"});
    return Run(more);
  }
  void ExpectOk(const std::vector<std::string>& more) const {
    const Finished run = Profile(more);
    EXPECT_EQ(run.code, 0) << run.err;
  }
  Json List() const {
    const Finished run = Profile({"list", "--json"});
    EXPECT_EQ(run.code, 0) << run.err;
    return Json::parse(run.out, nullptr, false);
  }
  Json SearchJson(std::vector<std::string> more) const {
    more.insert(more.begin(), {"search", "--index", *this / "index", "--id", "7", "--json"});
    const Finished run = Run(more);
    EXPECT_EQ(run.code, 0) << run.err;
    return Json::parse(run.out, nullptr, false);
  }
};

TEST_F(ProfileVerb, SavesVersionsAndRollsBack) {
  EXPECT_EQ(List(), Json::array());
  ExpectOk({"save", "fast", "--funnel", "16:100,32:10", "--note", "first"});
  ExpectOk({"save", "fast", "--funnel", "16:150,32:10", "--default"});
  Json fast = List()[0];
  EXPECT_EQ(fast["serving_version"], 2);
  EXPECT_EQ(fast["funnel"], "scan/16:150,32:10");
  EXPECT_EQ(fast["default"], true);
  EXPECT_EQ(fast["versions"][0]["note"], "first");
  Json found = SearchJson({});
  EXPECT_EQ(found["plan"], "scan/16:150,32:10");
  EXPECT_EQ(found["profile"], "fast");
  EXPECT_EQ(found["profile_version"], 2);
  ExpectOk({"rollback", "fast"});
  EXPECT_EQ(SearchJson({})["plan"], "scan/16:100,32:10");
  EXPECT_EQ(SearchJson({"-k", "20"})["plan"], "scan/16:200,32:20");
  ExpectOk({"set-default", "fast", "--off"});
  EXPECT_FALSE(SearchJson({}).contains("profile"));
  found = SearchJson({"--profile", "fast"});
  EXPECT_EQ(found["profile_version"], 1);
  ExpectOk({"delete", "fast"});
  EXPECT_EQ(List(), Json::array());
}

TEST_F(ProfileVerb, RefusesWhatCannotBe) {
  const auto expect = [&](const std::vector<std::string>& words, int code,
                          const std::string& message) {
    const Finished run = Profile(words);
    EXPECT_EQ(run.code, code) << run.err;
    EXPECT_THAT(run.err, HasSubstr(message));
  };
  expect({"save", "fast", "--funnel", "7:100,32:10"}, 65, "7 dims are not on the ladder");
  expect({"save", "Fast", "--funnel", "16:100,32:10"}, 65, "'Fast' is no name of a profile");
  expect({"rollback", "fast"}, 74, "profile 'fast' does not exist; the collection has none");
  ExpectOk({"save", "fast", "--funnel", "16:100,32:10", "--default"});
  expect({"rollback", "fast"}, 74, "has no version before 1");
  expect({"delete", "fast"}, 1, "is the default");
  EXPECT_EQ(Run({"search", "--index", *this / "index", "--id", "7", "--profile", "fast", "--funnel",
                 "32"})
                .code,
            2);
  EXPECT_EQ(Run({"profile"}).code, 2);
}

TEST_F(ProfileVerb, TuneSavesWhatReachedItsTarget) {
  const std::vector<std::string> tune = {
      "tune",   "--index", *this / "index", "--queries", WriteNpy("q.npy", Vectors(60, 2)),
      "--json", "--save",  "text",          "--default", "--target-recall"};
  std::vector<std::string> reachable = tune;
  reachable.emplace_back("0.8");
  const Finished run = Run(reachable);
  ASSERT_EQ(run.code, 0) << run.err;
  const Json tuned = Json::parse(run.out, nullptr, false);
  EXPECT_EQ(tuned["profile"]["version"], 1);
  EXPECT_EQ(SearchJson({})["plan"], tuned["funnel"]);
  EXPECT_THAT(List()[0]["versions"][0]["note"].get<std::string>(),
              HasSubstr("tuned to recall@10 0.8; held-out recall"));
  EXPECT_EQ(List()[0]["versions"][0]["certificate"]["recall"], tuned["recall"]);
  // Nothing is surely perfect on 30 queries.
  std::vector<std::string> unreachable = tune;
  unreachable.emplace_back("1");
  const Finished refused = Run(unreachable);
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("profile 'text' was not saved"));
  EXPECT_EQ(List()[0]["versions"].size(), 1u);
}

}  // namespace
}  // namespace mrl::cli
