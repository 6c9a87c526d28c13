#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "absl/strings/str_split.h"
#include "tests/unit/cli/program.h"

namespace mrl::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::json;

// Rows nearest to a query by the cosine of their first `dims` dimensions, in double precision.
std::set<size_t> Nearest(const std::vector<float>& rows, const float* query, size_t all_dims,
                         size_t dims) {
  std::vector<std::pair<double, size_t>> scored;
  for (size_t row = 0; row * all_dims < rows.size(); ++row) {
    const float* values = rows.data() + row * all_dims;
    const double dot = std::inner_product(values, values + dims, query, 0.0);
    const double squares = std::inner_product(values, values + dims, values, 0.0);
    scored.emplace_back(-dot / std::sqrt(squares), row);
  }
  std::sort(scored.begin(), scored.end());
  std::set<size_t> nearest;
  for (size_t i = 0; i < 10; ++i) nearest.insert(scored[i].second);
  return nearest;
}

class Eval : public Program {
 protected:
  static constexpr size_t kQueries = 20;

  Finished Measure(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"eval", "--index", *this / "index", "--queries",
                                          WriteNpy("queries.npy", Vectors(kQueries, 2))};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Run(arguments);
  }
  std::vector<Json> MeasureJson(std::vector<std::string> more) const {
    more.push_back("--json");
    const Finished run = Measure(more);
    EXPECT_EQ(run.code, 0) << run.err;
    std::vector<Json> lines;
    for (const auto& line : absl::StrSplit(run.out, '\n', absl::SkipEmpty())) {
      lines.push_back(Json::parse(line.begin(), line.end()));
    }
    return lines;
  }
  // Recall@10 of the prefix alone against all dimensions, computed here.
  static double RecallOfPrefix(size_t dims) {
    const std::vector<float> rows = Vectors(kRows);
    const std::vector<float> queries = Vectors(kQueries, 2);
    double hits = 0;
    for (size_t i = 0; i < kQueries; ++i) {
      const float* query = queries.data() + i * kDims;
      const std::set<size_t> truth = Nearest(rows, query, kDims, kDims);
      for (const size_t row : Nearest(rows, query, kDims, dims)) hits += truth.count(row);
    }
    return hits / (10 * kQueries);
  }
  // What `--exact` finds, as a truth file with these columns, each row number plus `shift`.
  template <typename T>
  std::string WriteTruth(const std::string& descr, size_t columns, T shift) const {
    std::vector<T> rows;
    for (size_t i = 0; i < kQueries; ++i) {
      const Finished run =
          Run({"search", "--index", *this / "index", "--vector", *this / "queries.npy", "--row",
               std::to_string(i), "--exact", "-k", std::to_string(columns), "--json"});
      const Json found = Json::parse(run.out);
      for (const Json& hit : found["hits"]) {
        rows.push_back(hit["id"].get<T>() + shift);
      }
    }
    return WriteNpy(
        "truth.npy", descr, "(20, " + std::to_string(columns) + ")",
        std::string(reinterpret_cast<const char*>(rows.data()), rows.size() * sizeof(T)));
  }
};

TEST_F(Eval, EachFunnelIsALineWithItsKeys) {
  BuildIndex();
  const auto lines = MeasureJson({"--funnel", "16:200,32:10", "--funnel", "16:10", "--exact"});
  ASSERT_EQ(lines.size(), 3u);
  std::vector<std::string> keys;
  for (const auto& item : lines[0].items()) keys.push_back(item.key());
  EXPECT_THAT(keys,
              ElementsAre("bytes_touched", "coarse", "funnel", "hot_bytes_per_row", "interval", "k",
                          "lost", "mean_ms", "memory_bytes_per_row", "multiply_adds", "p50_ms",
                          "p95_ms", "p99_ms", "qps", "recall", "stages"));
  EXPECT_EQ(lines[0]["funnel"], "scan/16:200,32:10");
  EXPECT_EQ(lines[0]["coarse"], "scan");
  EXPECT_EQ(lines[0]["k"], 10);
  EXPECT_EQ(lines[0]["recall"], 1.0);
  EXPECT_EQ(lines[0]["multiply_adds"], 200 * 16 + 200 * 32);
  EXPECT_NEAR(lines[1]["recall"].get<double>(), RecallOfPrefix(16), 1e-9);
  EXPECT_EQ(lines[1]["multiply_adds"], 200 * 16);
  EXPECT_EQ(lines[2]["funnel"], "exact");
  EXPECT_EQ(lines[2]["recall"], 1.0);
  EXPECT_EQ(lines[2]["multiply_adds"], 200 * 32);
}

TEST_F(Eval, AdaptiveKeepIsMeasuredBesideThePlainFunnel) {
  BuildIndex();
  const std::vector<std::string> adaptive = {"--funnel", "16:100,32:10", "--exact",
                                             "--adaptive-keep", "0.9"};
  const auto lines = MeasureJson(adaptive);
  ASSERT_EQ(lines.size(), 3u);  // exact search has no stage to cut
  EXPECT_FALSE(lines[0].contains("adaptive_keep"));
  EXPECT_EQ(lines[0]["stages"][0]["left_out"], 0);
  EXPECT_EQ(lines[1]["adaptive_keep"], 0.9);
  EXPECT_GT(lines[1]["adaptive_keep_recall"], 0.8);
  EXPECT_EQ(lines[1]["funnel"], lines[0]["funnel"]);
  const Json& first = lines[1]["stages"][0];
  EXPECT_GT(first["left_out"], 0);
  EXPECT_NEAR(first["left_out"].get<double>() + first["out"].get<double>(), 100, 1e-9);
  EXPECT_EQ(lines[1]["stages"][1]["in"], first["out"]);
  EXPECT_LT(lines[1]["bytes_touched"], lines[0]["bytes_touched"]);
  EXPECT_EQ(lines[2]["funnel"], "exact");
  const Finished table = Measure(adaptive);
  EXPECT_THAT(table.out, HasSubstr("scan/16:100,32:10 adaptive 0.9: left out per stage"));
  for (const char* share : {"0", "1.1", "-1", "x"}) {
    const Finished refused = Measure({"--adaptive-keep", share});
    EXPECT_EQ(refused.code, 2);
    EXPECT_THAT(refused.err, HasSubstr("above 0 to 1"));
  }
}

TEST_F(Eval, StagesAreToldWithTheMedianOfTheirTimes) {
  BuildIndex();
  const auto lines = MeasureJson({"--funnel", "16:20,32:10"});
  const Json& stages = lines[0]["stages"];
  ASSERT_EQ(stages.size(), 2u);
  EXPECT_EQ(stages[0]["kind"], "scan");
  EXPECT_EQ(stages[0]["dims"], 16);
  EXPECT_EQ(stages[0]["in"], 200);
  EXPECT_EQ(stages[0]["out"], 20);
  EXPECT_EQ(stages[1]["kind"], "rerank");
  EXPECT_EQ(stages[1]["in"], 20);
  EXPECT_EQ(stages[1]["out"], 10);
  EXPECT_EQ(stages[1]["bytes"], 20 * 32 * 4);  // the scan read codes
  for (const Json& stage : stages) {
    EXPECT_GT(stage["p50_micros"], 0);
    EXPECT_LE(stage["p50_micros"], 1000 * lines[0]["p50_ms"].get<double>());
  }
}

TEST_F(Eval, RowsThatWereFoundAreWrittenByFunnel) {
  BuildIndex();
  const auto lines = MeasureJson({"--funnel", "16:10", "--exact", "--found", *this / "found.npy"});
  const std::string file = ReadFile("found.npy");
  ASSERT_EQ(file.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  EXPECT_THAT(file, HasSubstr("{'descr': '<i8', 'fortran_order': False, 'shape': (2, 20, 10), }"));
  ASSERT_EQ(file.size(), 128 + 2 * 20 * 10 * sizeof(int64_t));
  const auto row = [&file](size_t plan, size_t query, size_t place) {
    int64_t found = 0;
    std::memcpy(&found, &file[128 + ((plan * 20 + query) * 10 + place) * sizeof(found)],
                sizeof(found));
    return static_cast<size_t>(found);
  };
  const std::vector<float> rows = Vectors(kRows);
  const std::vector<float> queries = Vectors(kQueries, 2);
  for (size_t query = 0; query < kQueries; ++query) {
    for (const size_t plan : {0, 1}) {
      std::set<size_t> found;
      for (size_t place = 0; place < 10; ++place) found.insert(row(plan, query, place));
      EXPECT_EQ(found, Nearest(rows, queries.data() + query * kDims, kDims, plan == 0 ? 16 : 32));
    }
  }
}

TEST_F(Eval, PlacesWithoutARowAreMinusOne) {
  BuildIndex({"--limit", "3"});
  ASSERT_EQ(Measure({"--exact", "-k", "5", "--limit", "1", "--found", *this / "f.npy"}).code, 0);
  const std::string file = ReadFile("f.npy");
  const std::string minus_ones(2 * sizeof(int64_t), '\xFF');
  ASSERT_EQ(file.size(), 128 + 5 * sizeof(int64_t));
  EXPECT_EQ(file.substr(128 + 3 * sizeof(int64_t)), minus_ones);
  EXPECT_NE(file.substr(128 + 2 * sizeof(int64_t), sizeof(int64_t)), minus_ones.substr(8));
}

TEST_F(Eval, ACertificateSaysHowSureAndWhereTheRestWasLost) {
  BuildIndex();
  const auto lines = MeasureJson({"--funnel", "16:10,32:10", "--funnel", "16:10", "--exact"});
  for (const Json& one : lines) {
    double sum = one["recall"];
    for (const Json& share : one["lost"]) sum += share.get<double>();
    EXPECT_NEAR(sum, 1, 1e-9) << one;
    EXPECT_LE(one["interval"][0].get<double>(), one["recall"].get<double>());
    EXPECT_GE(one["interval"][1].get<double>(), one["recall"].get<double>());
  }
  EXPECT_LT(lines[0]["interval"][0], lines[0]["interval"][1]);
  ASSERT_EQ(lines[0]["lost"].size(), 2u);
  EXPECT_GT(lines[0]["lost"][0], 0.0);
  EXPECT_EQ(lines[0]["lost"][1], 0.0);
  // Nothing was lost in 20 queries of 10 neighbours, which proves less than that nothing is.
  EXPECT_NEAR(lines[2]["interval"][0].get<double>(), 1 - (1 - std::pow(0.025, 1.0 / 20)) / 10,
              1e-6);
}

TEST_F(Eval, WithoutAFunnelTheDefaultPlanIsMeasured) {
  BuildIndex();
  const Finished run = Measure({"--limit", "5"});
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("recall@10 of 5 queries against exact search, 1 thread(s)"));
  EXPECT_THAT(run.out, HasSubstr("scan/"));
}

TEST_F(Eval, ThreadsChangeNoResult) {
  BuildIndex();
  const std::vector<std::string> funnel = {"--funnel", "16:20,32:10"};
  const auto one = MeasureJson(funnel);
  const auto four = MeasureJson({"--funnel", "16:20,32:10", "--threads", "4", "--in-flight", "8"});
  EXPECT_EQ(one[0]["recall"], four[0]["recall"]);
  EXPECT_EQ(one[0]["bytes_touched"], four[0]["bytes_touched"]);
}

TEST_F(Eval, ATruthFileReplacesExactSearch) {
  BuildIndex();
  ASSERT_EQ(Measure({}).code, 0);  // writes the queries
  const auto same = MeasureJson({"--exact", "--truth", WriteTruth<int64_t>("<i8", 10, 0)});
  EXPECT_EQ(same[0]["recall"], 1.0);
  const auto narrow = MeasureJson({"--exact", "--truth", WriteTruth<int32_t>("<i4", 12, 0)});
  EXPECT_EQ(narrow[0]["recall"], 1.0);
  const auto none = MeasureJson({"--exact", "--truth", WriteTruth<int64_t>("<i8", 10, 1000)});
  EXPECT_EQ(none[0]["recall"], 0.0);
}

TEST_F(Eval, BadInputIsRefused) {
  BuildIndex();
  const auto expect_refused = [this](const std::vector<std::string>& more,
                                     const std::string& message) {
    const Finished run = Measure(more);
    EXPECT_EQ(run.code, 65);
    EXPECT_THAT(run.err, HasSubstr(message));
  };
  expect_refused({"--truth", WriteNpy("f.npy", Vectors(20))}, "has dtype <f4; one of <i4, <i8");
  const std::string narrow = WriteNpy("n.npy", "<i8", "(20, 9)", std::string(20 * 9 * 8, '\0'));
  expect_refused({"--truth", narrow}, "at least 20 rows and k = 10 columns");
  const std::string few = WriteNpy("s.npy", "<i8", "(19, 10)", std::string(19 * 10 * 8, '\0'));
  expect_refused({"--truth", few}, "at least 20 rows and k = 10 columns");
  expect_refused({"--funnel", "17:10"}, "17");
  expect_refused({"-k", "10001"}, "10000");
}

TEST_F(Eval, AQueryThatCannotBeSearchedIsNamed) {
  BuildIndex();
  std::vector<float> values = Vectors(3);
  std::fill_n(values.begin() + kDims, kDims, 0.0F);
  const Finished run =
      Run({"eval", "--index", *this / "index", "--queries", WriteNpy("zero.npy", values)});
  EXPECT_EQ(run.code, 65);
  EXPECT_THAT(run.err, HasSubstr("query 1: "));
}

}  // namespace
}  // namespace mrl::cli
