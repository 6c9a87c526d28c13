#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/unit/cli/program.h"

namespace mrl::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

class Search : public Program {
 protected:
  Finished Find(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"search", "--index", *this / "index"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Run(arguments);
  }
  Json FindJson(std::vector<std::string> more) const {
    more.push_back("--json");
    const Finished run = Find(more);
    EXPECT_EQ(run.code, 0) << run.err;
    return Json::parse(run.out);
  }
  void ExpectRefused(const std::vector<std::string>& more, const std::string& message) const {
    const Finished run = Find(more);
    EXPECT_EQ(run.code, 65);
    EXPECT_THAT(run.err, HasSubstr(message));
  }
};

TEST_F(Search, APointIsLeftOutOfItsOwnResult) {
  BuildIndex();
  const Json others = FindJson({"--id", "7", "-k", "200"});
  EXPECT_EQ(others["hits"].size(), kRows - 1);
  for (const Json& hit : others["hits"]) EXPECT_NE(hit["id"], 7);
  const Json all = FindJson({"--id", "7", "-k", "3", "--include-self"});
  EXPECT_EQ(all["hits"][0]["id"], 7);
  EXPECT_NEAR(all["hits"][0]["score"].get<float>(), 1, 1e-5);
}

TEST_F(Search, AVectorFileAsksByItsRow) {
  BuildIndex();
  const Json found = FindJson({"--vector", *this / "base.npy", "--row", "9", "-k", "2"});
  EXPECT_EQ(found["hits"][0]["id"], 9);
  EXPECT_EQ(found["hits"][0]["payload"], Json({{"text", "point 9"}, {"n", 9}}));
  ExpectRefused({"--vector", *this / "base.npy", "--row", "200"},
                "has 200 rows; row 200 is not among them");
}

TEST_F(Search, AFullFunnelIsExactSearch) {
  BuildIndex();
  const std::string queries = WriteNpy("queries.npy", Vectors(1, 2));
  const Json funnel = FindJson({"--vector", queries, "--funnel", "16:200,32:10"});
  const Json exact = FindJson({"--vector", queries, "--exact"});
  EXPECT_EQ(funnel["plan"], "scan/16:200,32:10");
  EXPECT_EQ(exact["plan"], "exact");
  ASSERT_EQ(exact["hits"].size(), 10u);
  for (size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(funnel["hits"][i]["id"], exact["hits"][i]["id"]);
    EXPECT_NEAR(funnel["hits"][i]["score"].get<float>(), exact["hits"][i]["score"].get<float>(),
                1e-5);
  }
}

TEST_F(Search, ExplainTellsWhatEachStageDid) {
  BuildIndex();
  const std::vector<std::string> query = {"--id", "1", "--funnel", "16:50,32:10", "--explain"};
  const Json trace = FindJson(query)["trace"];
  EXPECT_EQ(trace["stages"][0]["kind"], "scan");
  EXPECT_EQ(trace["stages"][0]["in"], kRows);
  EXPECT_EQ(trace["stages"][1]["kind"], "rerank");
  EXPECT_EQ(trace["stages"][1]["out"], 10);
  const uint64_t reranked = trace["stages"][1]["in"];
  EXPECT_EQ(trace["multiply_adds"], kRows * 16 + reranked * 32);
  const Finished text = Find(query);
  EXPECT_THAT(text.out, HasSubstr("plan scan/16:50,32:10"));
  EXPECT_THAT(text.out, HasSubstr("multiply-adds "));
  EXPECT_THAT(text.out, HasSubstr("score cut"));
}

TEST_F(Search, AdaptiveKeepLeavesCandidatesOutAndSaysSo) {
  BuildIndex();
  const std::vector<std::string> query = {
      "--id", "1", "--funnel", "16:100,32:10", "--explain", "--adaptive-keep", "0.5"};
  const Json found = FindJson(query);
  const Json& stages = found["trace"]["stages"];
  EXPECT_GT(stages[0]["left_out"], 0);
  EXPECT_EQ(stages[0]["left_out"].get<int>() + stages[0]["out"].get<int>(), 100);
  EXPECT_EQ(stages[1]["in"], stages[0]["out"]);
  EXPECT_EQ(stages[1]["left_out"], 0);
  EXPECT_EQ(found["hits"].size(), 10u);
  EXPECT_THAT(Find(query).out, HasSubstr(" candidates left out"));
}

TEST_F(Search, WhyNotFollowsPoints) {
  BuildIndex();
  const std::vector<std::string> query = {"--id",      "1",         "-k", "1", "--funnel",
                                          "16:1,32:1", "--why-not", "2",  "3", "nobody"};
  const Json why = FindJson(query)["why_not"];
  ASSERT_EQ(why.size(), 3u);
  EXPECT_EQ(why[0]["id"], 2);
  EXPECT_EQ(why[0]["found"], true);
  EXPECT_EQ(why[0]["lost_at"].get<int>() == 0, why[0]["stages"][0]["rank"] == -1);
  EXPECT_EQ(why[2]["found"], false);
  EXPECT_THAT(Find(query).out, HasSubstr("nobody: not in the collection"));
}

TEST_F(Search, FieldsChooseColumns) {
  BuildIndex();
  const Finished text = Find({"--id", "1", "-k", "1", "--include-self"});
  EXPECT_THAT(text.out, HasSubstr("rank  id  score   text\n1     1   1.0000  point 1\n"));
  const Finished fields =
      Find({"--id", "1", "-k", "1", "--include-self", "--fields", "n,missing,text"});
  EXPECT_THAT(fields.out, HasSubstr("rank  id  score   n  missing  text\n"
                                    "1     1   1.0000  1           point 1\n"));
}

TEST_F(Search, AStringIdComesBeforeANumber) {
  const std::string base = WriteNpy("base.npy", Vectors(2));
  const std::string rows = Write("rows.jsonl", "{\"id\":5}\n{\"id\":\"5\"}\n");
  ASSERT_EQ(Run({"build", "--input", base, "--payloads", rows, "--id-field", "id", "--output",
                 *this / "index"})
                .code,
            0);
  const Json found = FindJson({"--id", "5", "-k", "1"});
  EXPECT_EQ(found["hits"][0]["id"], 5);  // the one that is left out is the string
}

TEST_F(Search, BadRequestsAreRefused) {
  BuildIndex();
  ExpectRefused({"--id", "200"}, "the id '200' is not in");
  ExpectRefused({"--id", "1", "-k", "0"}, "k is 0");
  ExpectRefused({"--id", "1", "--funnel", "16:"}, "funnel `16:`");
  ExpectRefused({"--id", "1", "--funnel", "hnsw/16:50"}, "hnsw");
  ExpectRefused({"--id", "1", "--funnel", "17:50"}, "17");
  ExpectRefused({"--id", "1", "--funnel", "16:20,32:30"}, "30");
  ExpectRefused({"--vector", WriteNpy("short.npy", Vectors(1, 1, 8), 8)},
                "has 8 dimensions; the collection takes 32 or a step of its ladder 16,32");
  ExpectRefused({"--vector", WriteNpy("zero.npy", std::vector<float>(kDims))}, "zero");
}

}  // namespace
}  // namespace mrl::cli
