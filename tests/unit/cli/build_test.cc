#include <gmock/gmock.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <limits>

#include <nlohmann/json.hpp>

#include "tests/unit/cli/program.h"

namespace mrl::cli {
namespace {

using ::testing::Contains;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class Build : public Program {
 protected:
  Finished Make(const std::string& input, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {"build", "--input", input, "--output", *this / "index"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Run(arguments);
  }
  // 65, this message, and nothing left behind.
  void ExpectRefused(const Finished& run, const std::string& message) const {
    EXPECT_EQ(run.code, 65) << run.err;
    EXPECT_THAT(run.err, HasSubstr(message));
    EXPECT_THAT(Names(), Not(Contains("index")));
    EXPECT_THAT(Names(), Not(Contains(StartsWith(".tmp-"))));
  }
  nlohmann::json Inspect() const {
    return nlohmann::json::parse(Run({"inspect", "--index", *this / "index", "--json"}).out);
  }
  std::string HitIds(const std::string& id) const {
    const Finished run = Run({"search", "--index", *this / "index", "--id", id, "-k", "1",
                              "--include-self", "--exact", "--json"});
    EXPECT_EQ(run.code, 0) << run.err;
    return nlohmann::json::parse(run.out)["hits"][0]["id"].dump();
  }
};

TEST_F(Build, DefaultsComeFromTheInput) {
  const Finished run = Make(WriteNpy("base.npy", Vectors(20)));
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("20 rows of 32 dimensions, ladder 16,32, cosine, f32"));
  EXPECT_EQ(Inspect()["codes"], "16b8,32b8");
  EXPECT_EQ(HitIds("7"), "7");
}

TEST_F(Build, SaysWhereItsTimeWent) {
  const std::string base = WriteNpy("base.npy", Vectors(200));
  EXPECT_THAT(Make(base, {"--threads", "2"}).out,
              ContainsRegex("\n200 rows in [0-9.]+ s, [0-9]+ rows/s on 2 threads: read [0-9]+ %, "
                            "check [0-9]+ %, encode [0-9]+ %, write [0-9]+ %, finish [0-9]+ %, "
                            "index 0 %, database [0-9]+ %\n"));
  const Finished run = Make(base, {"--threads", "1", "--replace", "--json"});
  EXPECT_EQ(run.code, 0) << run.err;
  const nlohmann::json report = nlohmann::json::parse(run.out);
  EXPECT_EQ(report["rows"], 200);
  EXPECT_EQ(report["threads"], 1);
  EXPECT_EQ(report["ladder"], nlohmann::json({16, 32}));
  EXPECT_EQ(report["storage"], "f32");
  EXPECT_GT(report["rows_per_s"], 0);
  double seconds = 0;
  for (const auto& step : report["steps"]) seconds += step["seconds"].get<double>();
  EXPECT_GT(seconds, 0);
  EXPECT_LE(seconds, report["seconds"]);  // one thread: one step at a time
}

TEST_F(Build, ReadsAheadAcrossFilesAndKeepsTheirOrder) {
  const std::string first = WriteNpy("first.npy", Vectors(30, 1));
  const std::string second = WriteNpy("second.npy", Vectors(20, 2));
  const std::vector<std::string> both = {"--input", second, "--chunk-rows", "7"};
  for (const std::string threads : {"1", "3"}) {
    std::vector<std::string> more = both;
    more.insert(more.end(), {"--threads", threads, "--limit", "45", "--replace"});
    EXPECT_THAT(Make(first, more).out, HasSubstr("45 rows of 32 dimensions"));
    const Finished found = Run({"search", "--index", *this / "index", "--vector", second, "--row",
                                "14", "-k", "1", "--exact", "--json"});
    EXPECT_EQ(nlohmann::json::parse(found.out)["hits"][0]["id"], 44) << found.err;
  }
}

TEST_F(Build, HalvesAreStoredAsHalves) {
  const std::vector<uint16_t> halves(2 * 16, 0x3c00);
  const std::string data(reinterpret_cast<const char*>(halves.data()), halves.size() * 2);
  const std::string half = WriteNpy("half.npy", "<f2", "(2, 16)", data);
  EXPECT_THAT(Make(half).out, HasSubstr("ladder 16, cosine, f16"));
  const std::string full = WriteNpy("full.npy", Vectors(2, 1, 16), 16);
  EXPECT_THAT(Make(half, {"--input", full, "--replace"}).out, HasSubstr("4 rows of 16 dimensions"));
  EXPECT_EQ(Inspect()["storage"], "f32");
  EXPECT_THAT(Make(half, {"--storage", "f32", "--replace"}).out, HasSubstr("cosine, f32"));
}

TEST_F(Build, OptionsReachTheSchema) {
  const Finished run =
      Make(WriteNpy("base.npy", Vectors(50)),
           {"--dims", "8,24,32", "--codes", "24b8", "--metric", "l2", "--storage", "f16",
            "--transform", "layer_norm", "--limit", "30", "--chunk-rows", "7"});
  EXPECT_EQ(run.code, 0) << run.err;
  const nlohmann::json schema = Inspect();
  EXPECT_EQ(schema["rows"], 30);
  EXPECT_EQ(schema["codes"], "24b8");
  EXPECT_EQ(schema["metric"], "l2");
  EXPECT_EQ(schema["storage"], "f16");
  EXPECT_EQ(schema["transform"], "layer_norm");
  EXPECT_EQ(schema["levels"][1]["dims"], 24);
}

TEST_F(Build, FaissBecomesTheActiveIndex) {
  const Finished run =
      Make(WriteNpy("base.npy", Vectors(100)),
           {"--coarse", "faiss", "--faiss-factory", "Flat", "--coarse-dims", "16"});
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(Inspect()["coarse"], ElementsAre("faiss", "scan"));
}

TEST_F(Build, IdsComeFromNpyTextOrAField) {
  const std::string base = WriteNpy("base.npy", Vectors(2));
  const int64_t numbers[] = {70, 80};
  const std::string npy =
      WriteNpy("ids.npy", "<i8", "(2,)", std::string(reinterpret_cast<const char*>(numbers), 16));
  EXPECT_EQ(Make(base, {"--ids", npy}).code, 0);
  EXPECT_EQ(HitIds("80"), "80");
  EXPECT_EQ(Make(base, {"--ids", Write("ids.txt", "cat\n12\n"), "--replace"}).code, 0);
  EXPECT_EQ(HitIds("12"), "\"12\"");
  const std::string rows = Write("rows.jsonl", "{\"key\":\"a\"}\n{\"key\":9}\n");
  EXPECT_EQ(Make(base, {"--payloads", rows, "--id-field", "key", "--replace"}).code, 0);
  EXPECT_EQ(HitIds("a"), "\"a\"");
  EXPECT_EQ(HitIds("9"), "9");
}

TEST_F(Build, SideFilesMustFitTheRows) {
  const std::string base = WriteNpy("base.npy", Vectors(3));
  ExpectRefused(Make(base, {"--ids", Write("few.txt", "a\nb\n")}),
                "few.txt has 2 entries; row 2 of the input has none");
  ExpectRefused(Make(base, {"--ids", Write("many.txt", "a\nb\nc\nd\n")}),
                "many.txt has more entries than the 3 rows of the input");
  ExpectRefused(Make(base, {"--payloads", Write("few.jsonl", "{}\n")}),
                "few.jsonl has 1 entries; row 1 of the input has none");
  ExpectRefused(Make(base, {"--payloads", Write("list.jsonl", "{}\n[]\n{}\n")}),
                "line 2: it is not a JSON object");
  EXPECT_EQ(Make(base, {"--ids", *this / "many.txt", "--limit", "2"}).code, 0);
}

TEST_F(Build, BadInputIsRefused) {
  ExpectRefused(Make(Write("text.npy", "1 2 3\n4 5 6\n")), "this is not an npy file");
  ExpectRefused(Make(WriteNpy("wide.npy", "<f8", "(1, 2)", std::string(16, '\0'))),
                "has dtype <f8");
  ExpectRefused(Make(Write("table.csv", "1,2")), "the suffix is unknown");
  const std::string other = WriteNpy("other.npy", Vectors(2, 1, 16), 16);
  ExpectRefused(Make(WriteNpy("base.npy", Vectors(2)), {"--input", other}),
                "other.npy has 16 dimensions");
  ExpectRefused(Make(other, {"--dims", "4,2,16"}), "2");
  ExpectRefused(Make(other, {"--dims", "4,32"}), "32");
  ExpectRefused(Make(other, {"--codes", "5b8"}), "5");
}

TEST_F(Build, ARowThatCannotBeStoredIsRefusedOrSkipped) {
  std::vector<float> values = Vectors(5);
  values[3 * kDims + 1] = std::numeric_limits<float>::quiet_NaN();
  const std::string base = WriteNpy("base.npy", values);
  ExpectRefused(Make(base),
                "row 3: a value is NaN or infinite: nan at dimension 1; 1 of 5 rows cannot be "
                "stored; drop them with --skip-invalid");
  const Finished skipped = Make(base, {"--skip-invalid"});
  EXPECT_EQ(skipped.code, 0);
  EXPECT_THAT(skipped.err, HasSubstr("skipped 1 rows; the first: row 3: "));
  EXPECT_THAT(skipped.out, HasSubstr("4 rows"));
}

struct BadRow {
  const char* name;
  std::vector<const char*> options;
  float first;   // of the row's values
  float others;  // of it
  const char* message;
};

TEST_F(Build, EveryKindOfBadRowIsNamedAndMayBeSkipped) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const BadRow& bad : std::vector<BadRow>{
           {"nan", {}, std::numeric_limits<float>::quiet_NaN(), 1, "a value is NaN or infinite"},
           {"inf", {"--metric", "l2"}, -kInfinity, 1, "a value is NaN or infinite"},
           {"zero", {}, 0, 0, "its norm is zero, which COSINE cannot compare"},
           {"f16", {"--storage", "f16"}, 65520, 1, "a value is beyond the range of f16 (65504)"},
           {"high", {"--metric", "ip"}, 3e19F, 0, "its norm overflows f32"},
           {"low", {}, 1e-30F, 0, "its norm underflows f32"}}) {
    SCOPED_TRACE(bad.name);
    std::vector<float> values = Vectors(5);
    std::fill_n(&values[2 * kDims], kDims, bad.others);
    values[2 * kDims] = bad.first;
    std::vector<std::string> options(bad.options.begin(), bad.options.end());
    const std::string base = WriteNpy("bad.npy", values);
    ExpectRefused(Make(base, options), std::string("row 2: ") + bad.message);
    options.push_back("--skip-invalid");
    options.push_back("--replace");
    const Finished skipped = Make(base, options);
    EXPECT_EQ(skipped.code, 0) << skipped.err;
    EXPECT_THAT(skipped.err, HasSubstr("skipped 1 rows; the first: row 2: "));
    EXPECT_EQ(Inspect()["rows"], 4);
    std::filesystem::remove_all(*this / "index");
  }
}

TEST_F(Build, AnIdThatIsNotUtf8IsRefused) {
  ExpectRefused(Make(WriteNpy("base.npy", Vectors(2)), {"--ids", Write("ids", "a\n\xff\xfe\n")}),
                "row 1: id '\\xff\\xfe' is not UTF-8");
}

TEST_F(Build, ADuplicateIdIsNamed) {
  ExpectRefused(Make(WriteNpy("base.npy", Vectors(3)), {"--ids", Write("ids", "a\nb\na\n")}),
                "'a'");
}

TEST_F(Build, AnExistingOutputIsReplacedOnlyWhenAsked) {
  const std::string base = WriteNpy("base.npy", Vectors(5));
  EXPECT_EQ(Make(base).code, 0);
  const Finished refused = Make(base);
  EXPECT_EQ(refused.code, 65);
  EXPECT_THAT(refused.err, HasSubstr("exists; replace it with --replace"));
  EXPECT_EQ(Make(base, {"--replace", "--limit", "4"}).code, 0);
  EXPECT_EQ(Inspect()["rows"], 4);
  EXPECT_EQ(Inspect()["generation"], 2);
}

TEST_F(Build, AFolderThatIsNoCollectionIsNeverReplaced) {
  const std::string base = WriteNpy("base.npy", Vectors(5));
  const Finished run = Run({"build", "--input", base, "--output", *this / "", "--replace"});
  EXPECT_EQ(run.code, 1);
  EXPECT_THAT(run.err, HasSubstr("is not a collection directory and is not replaced"));
  EXPECT_THAT(Names(), Contains("base.npy"));
}

TEST_F(Build, AMissingInputIsAnIoError) {
  const Finished run = Make(*this / "missing.npy");
  EXPECT_EQ(run.code, 74);
  EXPECT_THAT(run.err, HasSubstr("missing.npy"));
}

TEST_F(Build, AnInterruptLeavesNothingBehind) {
  const std::string base = WriteNpy("base.npy", Vectors(200'000, 1, 16), 16);
  const pid_t child =
      Start({"build", "--input", base, "--output", *this / "index", "--chunk-rows", "1"});
  const auto started = [this] {
    const std::vector<std::string> names = Names();
    return std::any_of(names.begin(), names.end(),
                       [](const std::string& name) { return name.rfind(".tmp-", 0) == 0; });
  };
  while (!started()) sched_yield();
  kill(child, SIGINT);
  const Finished run = Wait(child);
  EXPECT_EQ(run.code, 130);
  EXPECT_THAT(run.err, HasSubstr("interrupted; nothing was written"));
  EXPECT_THAT(Names(), ElementsAre("base.npy", "stderr", "stdout"));
}

class Index : public Build {
 protected:
  Finished Do(const std::vector<std::string>& words) const {
    std::vector<std::string> arguments = {"index"};
    arguments.insert(arguments.end(), words.begin(), words.end());
    arguments.insert(arguments.end(), {"--index", *this / "index"});
    return Run(arguments);
  }
};

TEST_F(Index, IsAddedUsedListedAndDropped) {
  BuildIndex({"--codes", "16b8,32b1"});
  const Finished added = Do({"add", "ivf_scan", "--dims", "16", "--lists", "3"});
  EXPECT_EQ(added.code, 0) << added.err;
  EXPECT_THAT(added.out, HasSubstr("ivf_scan on 16 dims, 32b1, 3 lists"));
  EXPECT_THAT(Inspect()["coarse"], ElementsAre("scan", "ivf_scan"));
  const Finished used = Do({"use", "ivf_scan"});
  EXPECT_EQ(used.code, 0) << used.err;
  const auto listed = nlohmann::json::parse(Do({"list", "--json"}).out);
  ASSERT_EQ(listed.size(), 2u);
  EXPECT_EQ(listed[0]["kind"], "ivf_scan");
  EXPECT_EQ(listed[0]["active"], true);
  EXPECT_EQ(listed[0]["index"], "ivf_scan 3 lists on 16 dims, 32b1");
  const Finished found =
      Run({"search", "--index", *this / "index", "--id", "7", "-k", "1", "--include-self",
           "--funnel", "ivf_scan(nprobe=3,cluster_dims=16)/32b1:50,32:1", "--json"});
  EXPECT_EQ(found.code, 0) << found.err;
  EXPECT_EQ(nlohmann::json::parse(found.out)["hits"][0]["id"], 7);
  EXPECT_EQ(Run({"verify", "--index", *this / "index"}).code, 0);
  EXPECT_EQ(Do({"drop", "ivf_scan"}).code, 1);
  EXPECT_EQ(Do({"use", "scan"}).code, 0);
  EXPECT_EQ(Do({"drop", "ivf_scan"}).code, 0);
  EXPECT_THAT(Inspect()["coarse"], ElementsAre("scan"));
}

TEST_F(Index, RefusesWhatCannotBeBuilt) {
  BuildIndex({"--codes", "16b8,32b1"});
  const Finished off = Do({"add", "ivf_scan", "--dims", "17"});
  EXPECT_EQ(off.code, 65);
  EXPECT_THAT(off.err, HasSubstr("17 dims are not on the ladder 16,32"));
  const Finished code = Do({"add", "ivf_scan", "--code", "32b2"});
  EXPECT_EQ(code.code, 65);
  EXPECT_THAT(code.err, HasSubstr("the code 32b2 is not stored, these are: 16b8,32b1"));
  const Finished factory = Do({"add", "faiss", "--dims", "16", "--faiss-factory", "Nothing7"});
  EXPECT_EQ(factory.code, 65);
  EXPECT_THAT(factory.err, HasSubstr("Nothing7"));
  const Finished kind = Do({"use", "ivf_scan"});
  EXPECT_EQ(kind.code, 74);
  EXPECT_THAT(kind.err, HasSubstr("these are: scan"));
  EXPECT_THAT(Inspect()["coarse"], ElementsAre("scan"));
}

TEST_F(Build, ListsOfCodesAreMadeTheActiveIndex) {
  BuildIndex({"--codes", "16b8,32b1", "--coarse", "ivf_scan"});
  EXPECT_THAT(Inspect()["coarse"], ElementsAre("ivf_scan", "scan"));
  EXPECT_EQ(HitIds("7"), "7");
}

}  // namespace
}  // namespace mrl::cli
