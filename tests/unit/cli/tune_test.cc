#include <gmock/gmock.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/unit/cli/program.h"

namespace mrl::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

class TuneVerb : public Program {
 protected:
  Finished Tune(size_t queries, const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"tune", "--index", *this / "index", "--queries",
                                          WriteNpy("queries.npy", Vectors(queries, 2))};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Run(arguments);
  }
  Json TuneJson(size_t queries, std::vector<std::string> more) const {
    more.push_back("--json");
    const Finished run = Tune(queries, more);
    EXPECT_EQ(run.code, 0) << run.err;
    return Json::parse(run.out, nullptr, false);
  }
  // Recall of a funnel on all queries, by eval.
  double Recall(const std::string& funnel, const std::string& k) const {
    const Finished run = Run({"eval", "--index", *this / "index", "--queries",
                              *this / "queries.npy", "--funnel", funnel, "-k", k, "--json"});
    EXPECT_EQ(run.code, 0) << run.err;
    return Json::parse(run.out, nullptr, false)["recall"];
  }
};

TEST_F(TuneVerb, ReportsTheFunnelOnTheQueriesThatDidNotChooseIt) {
  BuildIndex();
  const Json json = TuneJson(60, {"--target-recall", "0.8"});
  std::vector<std::string> keys;
  for (const auto& item : json.items()) keys.push_back(item.key());
  EXPECT_THAT(keys, ElementsAre("front", "funnel", "interval", "k", "lost", "mean_bytes", "mean_ms",
                                "p50_ms", "p99_ms", "qps", "queries", "reached", "recall", "seed",
                                "target_recall", "tried", "tuning"));
  EXPECT_EQ(json["reached"], true);
  EXPECT_GE(json["tuning"]["interval"][0], 0.8);
  EXPECT_EQ(json["queries"]["tuning"], 30);
  EXPECT_EQ(json["queries"]["held_out"], 30);
  const double both = (json["recall"].get<double>() + json["tuning"]["recall"].get<double>()) / 2;
  EXPECT_NEAR(Recall(json["funnel"], "10"), both, 1e-9);
  double sum = json["recall"];
  for (const Json& share : json["lost"]) sum += share.get<double>();
  EXPECT_NEAR(sum, 1, 1e-9);
}

TEST_F(TuneVerb, KeepsTheTruthOfOneVersionOfTheIndexAndItsQueries) {
  BuildIndex();
  const std::string folder = "cache/mrl/truth";
  const auto kept = [&] {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(*this / folder)) {
      names.push_back(entry.path().filename());
    }
    return names;
  };
  WriteNpy("queries.npy", Vectors(40, 2));
  const double recall = Recall("16:40,32:10", "10");
  ASSERT_EQ(kept().size(), 1U);
  const std::string path = folder + "/" + kept()[0];
  const std::string bytes = ReadFile(path);
  EXPECT_EQ(bytes.size(), 8U + 40 * 10 * 8);
  // What is whole is read and stays as it is.
  const auto written = std::filesystem::last_write_time(*this / path);
  EXPECT_EQ(Recall("16:40,32:10", "10"), recall);
  EXPECT_EQ(std::filesystem::last_write_time(*this / path), written);
  // What is damaged is found anew.
  std::string damaged = bytes;
  damaged[100] ^= 1;
  Write(path, damaged);
  EXPECT_EQ(Recall("16:40,32:10", "10"), recall);
  EXPECT_EQ(ReadFile(path), bytes);
  Recall("16:40,32:10", "5");
  WriteNpy("queries.npy", Vectors(40, 3));
  Recall("16:40,32:10", "10");
  EXPECT_EQ(kept().size(), 3U);
  // Other rows are another index, at the same place too.
  WriteNpy("more.npy", Vectors(1, 9));
  const Finished append = Run({"append", "--index", *this / "index", "--input", *this / "more.npy",
                               "--ids", Write("ids.txt", "one more\n")});
  ASSERT_EQ(append.code, 0) << append.err;
  Recall("16:40,32:10", "10");
  EXPECT_EQ(kept().size(), 4U);
  // The oldest go.
  const std::string newest = kept()[0];
  for (int i = 0; i < 80; ++i) {
    const std::string old = Write(folder + "/0-old" + std::to_string(i), "");
    std::filesystem::last_write_time(old, written - std::chrono::hours(1));
  }
  Recall("16:40,32:10", "7");
  EXPECT_EQ(kept().size(), 64U);
  EXPECT_THAT(kept(), ::testing::Contains(newest));
}

TEST_F(TuneVerb, BuildsTheKindsThatAreMissingAndKeepsWhatIsWorthIt) {
  BuildIndex({"--codes", "32b1"});
  const auto kinds = [&] {
    const Finished listed = Run({"index", "list", "--index", *this / "index", "--json"});
    EXPECT_EQ(listed.code, 0) << listed.err;
    std::vector<std::string> names;
    for (const Json& one : Json::parse(listed.out, nullptr, false)) {
      names.push_back(one["kind"]);
      EXPECT_EQ(one["active"], one["kind"] == "scan");
    }
    return names;
  };
  const Finished run = Tune(60, {"--target-recall", "0.8", "--build", "--save", "b", "--json"});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.err, HasSubstr("ivf_scan: "));
  EXPECT_THAT(run.err, HasSubstr("faiss: "));
  const std::string funnel = Json::parse(run.out, nullptr, false)["funnel"];
  const std::string kind = funnel.substr(0, funnel.find_first_of("(/"));
  std::vector<std::string> expected = {"scan"};
  if (kind != "scan") expected.push_back(kind);
  EXPECT_EQ(kinds(), expected) << funnel;
  EXPECT_GE(Recall(funnel, "10"), 0.75);
  // What is there is tuned as it is, and stays.
  const Finished add = Run({"index", "add", "faiss", "--index", *this / "index", "--dims", "16",
                            "--faiss-factory", "HNSW8"});
  if (kind != "faiss") {
    ASSERT_EQ(add.code, 0) << add.err;
  }
  const Finished again = Tune(60, {"--build"});
  EXPECT_THAT(again.err, Not(HasSubstr("faiss: ")));
  EXPECT_THAT(kinds(), ::testing::Contains("faiss"));
}

TEST_F(TuneVerb, CodesNoCodesAndOtherKindsAreTuned) {
  for (const std::vector<std::string>& build :
       {std::vector<std::string>{"--codes", "none"},
        {"--metric", "l2", "--codes", "16b8,32b8"},
        {"--coarse", "faiss", "--faiss-factory", "HNSW8", "--coarse-dims", "16"},
        {"--coarse", "faiss", "--faiss-factory", "IVF4,Flat", "--coarse-dims", "32"},
        {"--coarse", "ivf_scan", "--codes", "32b1"},
        {"--dims", "32"}}) {
    std::vector<std::string> more = build;
    more.push_back("--replace");
    BuildIndex(more);
    const Json json = TuneJson(60, {"--target-recall", "0.7"});
    EXPECT_EQ(json["reached"], true) << build.back();
    EXPECT_GT(json["recall"], 0.6) << build.back();
  }
}

TEST_F(TuneVerb, ATruthFileReplacesExactSearch) {
  BuildIndex();
  const Json first = TuneJson(20, {"--target-recall", "0.5", "-k", "1"});
  std::string rows;
  for (int i = 0; i < 20; ++i) {
    const Finished run =
        Run({"search", "--index", *this / "index", "--vector", *this / "queries.npy", "--row",
             std::to_string(i), "--exact", "-k", "1", "--json"});
    const auto row = Json::parse(run.out, nullptr, false)["hits"][0]["id"].get<int64_t>();
    rows.append(reinterpret_cast<const char*>(&row), sizeof(row));
  }
  const std::string truth = WriteNpy("truth.npy", "<i8", "(20, 1)", rows);
  const Json second = TuneJson(20, {"--target-recall", "0.5", "-k", "1", "--truth", truth});
  EXPECT_EQ(second["reached"], first["reached"]);
  EXPECT_GT(second["recall"], 0.4);

  const int64_t beyond = 200;
  rows.replace(0, sizeof(beyond), reinterpret_cast<const char*>(&beyond), sizeof(beyond));
  const Finished run = Tune(20, {"-k", "1", "--truth", WriteNpy("t.npy", "<i8", "(20, 1)", rows)});
  EXPECT_EQ(run.code, 65);
  EXPECT_THAT(run.err, HasSubstr("query 0 has row 200, which the collection has not"));
}

TEST_F(TuneVerb, TheTableNamesWhatWasMeasured) {
  BuildIndex();
  const Finished run = Tune(40, {"--target-p99-ms", "1000"});
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("20 queries tuned, 20 others checked; one query at a time"));
  EXPECT_THAT(run.out, HasSubstr("held out"));
  EXPECT_THAT(run.out, HasSubstr("lost per stage, held out:"));
}

TEST_F(TuneVerb, ATargetThatIsNotProvedIsSaid) {
  BuildIndex();
  const Finished run = Tune(4, {"--target-recall", "1"});
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("No funnel reaches the target surely on these queries"));
}

TEST_F(TuneVerb, BadInputIsRefused) {
  BuildIndex();
  const auto expect_refused = [this](size_t queries, const std::vector<std::string>& more, int code,
                                     const std::string& message) {
    const Finished run = Tune(queries, more);
    EXPECT_EQ(run.code, code);
    EXPECT_THAT(run.err, HasSubstr(message));
  };
  expect_refused(1, {}, 65, "there are 1 queries; tuning needs 2 at least");
  expect_refused(9, {"--target-recall", "1.1"}, 65, "the target recall is 1.1; above 0 to 1");
  expect_refused(9, {"-k", "0"}, 65, "k is 0; it goes from 1 to 10000");
  expect_refused(9, {"--target-p99-ms", "1", "--target-recall", "0.9"}, 2, "excludes");
  expect_refused(9, {"--target-p99-ms", "0"}, 2, "--target-p99-ms");
}

}  // namespace
}  // namespace mrl::cli
