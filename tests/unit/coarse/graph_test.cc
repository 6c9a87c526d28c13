// A walk over linked rows against the scan of everything: walked to its end they agree, walked a
// little it finds what lies near.
#include "index/coarse/graph.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/coarse/graph_equal.h"
#include "index/coarse/graph_links.h"
#include "index/coarse/graph_refine.h"
#include "index/coarse/graph_walk.h"
#include "index/coarse/index_spec.h"
#include "tests/unit/coarse/built_index.h"

namespace mrl::coarse {
namespace {

using test::ExpectSameRows;
using test::Find;
using test::Sample;
using test::SampleOptions;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Lt;
using ::testing::Ne;
using ::testing::SizeIs;

constexpr uint32_t kRows = 6000;
SampleOptions Signs(uint32_t rows = kRows) { return test::Signs(rows); }
Params Ef(double ef_search) { return {{"efSearch", ef_search}}; }

GraphCodes CodesOf(const Sample& sample) {
  GraphCodes codes = {.code = {48, 1}, .words = {}, .calibration = {}};
  BitEncoder encoder(sample.schema, codes.code);
  std::vector<const float*> rows;
  for (uint32_t row = 0; row < sample.rows(); ++row) rows.push_back(sample.row(row));
  std::vector<double> agreements(rows.size() * encoder.levels());
  codes.words = *Buffer::Allocate(rows.size() * BitWords(codes.code) * sizeof(uint64_t));
  encoder.Encode(rows, codes.words.As<uint64_t>(), agreements.data());
  encoder.Count(agreements.data(), rows.size());
  codes.calibration = encoder.Calibration();
  return codes;
}

std::vector<uint32_t> EveryRow(const Sample& sample) {
  std::vector<uint32_t> rows(sample.rows());
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

// The row whose prefix is nearest to that of `row`, and no other.
uint32_t NearestTo(const Sample& sample, uint32_t row) {
  uint32_t nearest = row == 0 ? 1 : 0;
  for (uint32_t other = 0; other < sample.rows(); ++other) {
    if (other == row) continue;
    if (sample.Reference(sample.row(row), other, 48) >
        sample.Reference(sample.row(row), nearest, 48)) {
      nearest = other;
    }
  }
  return nearest;
}

GraphLinks BySigns(const GraphCodes& codes, uint32_t rows) {
  auto links = LinkBySigns(codes, rows, {.threads = 1});
  EXPECT_TRUE(links.ok()) << links.status();
  return *std::move(links);
}

TEST(RefineLinks, LinksARowToTheNearest) {
  const Sample sample(Signs(2000));
  const GraphCodes codes = CodesOf(sample);
  const std::vector<uint32_t> rows = EveryRow(sample);
  const GraphLinks by_signs = BySigns(codes, sample.rows());
  for (const uint32_t degree : {4u, 16u, 256u}) {
    const auto refined = RefineLinks({*sample.segment, rows}, codes, BySigns(codes, sample.rows()),
                                     degree, {.threads = 2});
    ASSERT_TRUE(refined.ok()) << refined.status();
    EXPECT_EQ(refined->degree, degree);
    size_t linked = 0;
    size_t linked_by_signs = 0;
    for (uint32_t row = 0; row < sample.rows(); ++row) {
      absl::Span<const uint32_t> links = refined->all_of(row);
      EXPECT_THAT(links, Each(AllOf(Lt(sample.rows()), Ne(row))));
      EXPECT_EQ(std::set<uint32_t>(links.begin(), links.end()).size(), links.size());
      if (row % 20 != 0) continue;
      const uint32_t nearest = NearestTo(sample, row);
      linked += static_cast<size_t>(std::count(links.begin(), links.end(), nearest));
      links = by_signs.all_of(row);
      linked_by_signs += static_cast<size_t>(std::count(links.begin(), links.end(), nearest));
    }
    EXPECT_GE(linked, 98u) << degree;  // of 100
    EXPECT_GT(linked, linked_by_signs) << degree;
  }
}

TEST(RefineLinks, GivesTheSameForAnyNumberOfThreads) {
  const Sample sample(Signs(1500));
  const GraphCodes codes = CodesOf(sample);
  const std::vector<uint32_t> rows = EveryRow(sample);
  const auto refined = [&](uint32_t threads) {
    auto links = RefineLinks({*sample.segment, rows}, codes, BySigns(codes, sample.rows()), 32,
                             {.threads = threads});
    EXPECT_TRUE(links.ok()) << links.status();
    return *std::move(links);
  };
  const GraphLinks one = refined(1);
  const GraphLinks four = refined(4);
  for (uint32_t row = 0; row < sample.rows(); ++row) {
    ASSERT_EQ(one.all_of(row), four.all_of(row)) << "row " << row;
  }
}

TEST(RefineLinks, StopsWhenItIsAsked) {
  const Sample sample(Signs(600));
  const GraphCodes codes = CodesOf(sample);
  const std::vector<uint32_t> rows = EveryRow(sample);
  const auto refined = RefineLinks({*sample.segment, rows}, codes, BySigns(codes, sample.rows()),
                                   32, {.stopped = [] { return true; }});
  EXPECT_EQ(refined.status().code(), absl::StatusCode::kCancelled);
}

class Graph : public test::BuiltIndex {
 protected:
  std::shared_ptr<const CoarseIndex> Build(Sample& sample, IndexSpec spec = {}) {
    spec.kind = "graph";
    return BuiltIndex::Build(sample, spec);
  }
};

TEST_F(Graph, WalkedToItsEndIsTheScanOfSigns) {
  Sample sample(Signs());
  const auto index = Build(sample);
  const Params all = Ef(kRows);
  for (const uint32_t dims : {8u, 32u, 48u}) {
    for (uint32_t seed = 0; seed < 10; ++seed) {
      const std::vector<float> query = sample.QueryNear(seed * 101, seed);
      Request request = {.query = query.data(), .dims = dims, .bits = 1, .keep = 50};
      const auto wanted = Find(sample, *sample.scan, request);
      request.params = &all;
      ExpectSameRows(Find(sample, *index, request), wanted);
    }
  }
}

TEST_F(Graph, FindsNearRowsByMeetingFew) {
  Sample sample(Signs());
  const auto index = Build(sample);
  const Params few = Ef(60);
  size_t hits = 0;
  uint64_t met = 0;
  for (uint32_t seed = 0; seed < 50; ++seed) {
    const std::vector<float> query = sample.QueryNear(seed * 97, seed);
    Request request = {.query = query.data(), .dims = 48, .bits = 1, .keep = 10};
    const auto truth = Find(sample, *sample.scan, request);
    request.params = &few;
    const auto result = index->Search(request);
    ASSERT_TRUE(result.ok()) << result.status();
    met += result->rows_scanned;
    EXPECT_GE(result->bytes_touched, result->rows_scanned * sizeof(uint64_t));
    hits += test::CountFound(result->candidates, truth);
  }
  EXPECT_GE(hits, 475u);  // of 500
  EXPECT_LE(met, 50u * kRows / 5);
  EXPECT_GT(met, 50u * 60);
}

TEST_F(Graph, KeepsMoreThanItWalksFrom) {
  Sample sample(Signs());
  const auto index = Build(sample);
  const Params ten = Ef(10);
  const std::vector<float> query = sample.QueryNear(8, 1);
  const Request request = {
      .query = query.data(), .dims = 48, .bits = 1, .keep = 100, .params = &ten};
  const auto found = Find(sample, *index, request);
  ASSERT_THAT(found, SizeIs(100));
  const auto ten_best = Find(
      sample, *index, {.query = query.data(), .dims = 48, .bits = 1, .keep = 10, .params = &ten});
  ExpectSameRows({found.begin(), found.begin() + 10}, ten_best);
  // Up to eighty are held by the walk, more beside it.
  const auto held = Find(
      sample, *index, {.query = query.data(), .dims = 48, .bits = 1, .keep = 80, .params = &ten});
  ExpectSameRows({found.begin(), found.begin() + 80}, held);
}

TEST_F(Graph, KeepsToTheAllowedRows) {
  Sample sample(Signs());
  const auto index = Build(sample);
  const std::vector<uint64_t> allowed = test::EveryThird(kRows);
  const Params all = Ef(kRows);
  const std::vector<float> query = sample.QueryNear(5, 9);
  Request request = {
      .query = query.data(), .dims = 48, .bits = 1, .keep = 60, .allowed = allowed.data()};
  const auto wanted = Find(sample, *sample.scan, request);
  request.params = &all;
  ExpectSameRows(Find(sample, *index, request), wanted);
}

TEST_F(Graph, CutsEqualScoresByRow) {
  Sample sample(test::TiedRows());
  const auto index = Build(sample);
  const Params all = Ef(600);
  const std::vector<float> query = sample.QueryNear(4, 2);
  Request request = {.query = query.data(), .dims = 48, .bits = 1, .keep = 600, .params = &all};
  const auto found = Find(sample, *index, request);
  for (size_t i = 1; i < found.size(); ++i) {
    if (found[i].score != found[i - 1].score) continue;
    EXPECT_LT(found[i - 1].row, found[i].row);
  }
  request.keep = 7;
  const auto few = Find(sample, *index, request);
  ExpectSameRows(few, {found.begin(), found.begin() + 7});
}

TEST_F(Graph, WorksOnAHandfulOfRows) {
  for (const uint32_t rows : {1u, 2u, 3u, 63u, 65u, 130u}) {
    Sample sample(Signs(rows));
    const auto index = Build(sample);
    const std::vector<float> query = sample.QueryNear(0, 1);
    const auto found =
        Find(sample, *index, {.query = query.data(), .dims = 48, .bits = 1, .keep = 500});
    EXPECT_THAT(found, SizeIs(rows));
  }
}

// A walk that comes upon many equal rows gets past them.
TEST_F(Graph, LeadsPastEqualRows) {
  SampleOptions options = Signs(2000);
  options.edit = [](std::vector<float>& vectors) {
    const size_t dim = vectors.size() / 2000;
    for (size_t row = 301; row < 900; ++row) {
      std::copy_n(vectors.begin() + static_cast<ptrdiff_t>(300 * dim), dim,
                  vectors.begin() + static_cast<ptrdiff_t>(row * dim));
    }
  };
  Sample sample(options);
  const auto index = Build(sample);
  size_t hits = 0;
  for (uint32_t seed = 0; seed < 50; ++seed) {
    const std::vector<float> query = sample.QueryNear(900 + seed * 20, seed);
    const Params few = Ef(60);
    Request request = {.query = query.data(), .dims = 48, .bits = 1, .keep = 10};
    const auto truth = Find(sample, *sample.scan, request);
    request.params = &few;
    hits += test::CountFound(Find(sample, *index, request), truth);
  }
  EXPECT_GE(hits, 475u);  // of 500
  // And finds each of them.
  const std::vector<float> query = sample.QueryNear(300, 1);
  const Params all = Ef(600);
  const auto found = Find(
      sample, *index, {.query = query.data(), .dims = 48, .bits = 1, .keep = 600, .params = &all});
  EXPECT_EQ(std::count_if(found.begin(), found.end(),
                          [](const Candidate& one) { return one.row >= 300 && one.row < 900; }),
            600);
}

TEST(EqualRows, LinksThemToTheirFirst) {
  GraphCodes codes = {
      .code = {64, 1}, .words = *Buffer::Allocate(6 * sizeof(uint64_t)), .calibration = {}};
  const uint64_t words[] = {5, 9, 5, 7, 5, 9};
  std::copy_n(words, 6, codes.words.As<uint64_t>());
  const EqualRows equal(codes, 6);
  EXPECT_THAT(equal.firsts(), ElementsAre(0, 1, 3));
  const auto firsts = equal.CodesOfFirsts(codes);
  ASSERT_TRUE(firsts.ok()) << firsts.status();
  EXPECT_THAT(absl::MakeConstSpan(firsts->words.As<uint64_t>(), 3), ElementsAre(5, 9, 7));
  GraphLinks links = *GraphLinks::Make(3, 4);
  const uint32_t linked[] = {1, 2, GraphLinks::kNoRow, GraphLinks::kNoRow,
                             0, 2, GraphLinks::kNoRow, GraphLinks::kNoRow,
                             0, 1, GraphLinks::kNoRow, GraphLinks::kNoRow};
  std::copy_n(linked, 12, links.rows.As<uint32_t>());
  const auto all = equal.Expand(links);
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_THAT(all->all_of(0), ElementsAre(2, 1, 3));  // one of its group, then the others
  EXPECT_THAT(all->all_of(1), ElementsAre(5, 0, 3));
  EXPECT_THAT(all->all_of(2), ElementsAre(0, 4));
  EXPECT_THAT(all->all_of(3), ElementsAre(0, 1));
  EXPECT_THAT(all->all_of(4), ElementsAre(0, 2));
  EXPECT_THAT(all->all_of(5), ElementsAre(1));
}

TEST_F(Graph, LinksRowsOfAnyNorm) {
  SampleOptions options = Signs(600);
  options.metric = Metric::kInnerProduct;
  options.edit = [](std::vector<float>& vectors) {
    const size_t part = vectors.size() / 30;  // 20 rows
    std::fill_n(vectors.begin(), part, 0.0F);
    for (size_t i = part; i < 2 * part; ++i) vectors[i] *= 1e-40F;
    for (size_t i = 2 * part; i < 3 * part; ++i) vectors[i] *= 1e17F;
  };
  Sample sample(options);
  const auto index = Build(sample);
  const Params all = Ef(600);
  const std::vector<float> query = sample.QueryNear(500, 1);
  EXPECT_THAT(Find(sample, *index,
                   {.query = query.data(), .dims = 48, .bits = 1, .keep = 600, .params = &all}),
              SizeIs(600));
}

TEST_F(Graph, RefusesWhatItDoesNotHave) {
  Sample sample(Signs(1000));
  const auto index = Build(sample, {.dims = 32});
  const std::vector<float> query = sample.QueryNear(0, 1);
  const auto refusal = [&](Request request) {
    request.query = query.data();
    return Refusal(*index, request);
  };
  EXPECT_THAT(refusal({.dims = 48, .bits = 1, .keep = 5}),
              HasSubstr("asked for 48b1, it compares 32b1"));
  EXPECT_THAT(refusal({.dims = 32, .keep = 5}),
              HasSubstr("asked for 32 dims at stored precision, it compares 32b1"));
  EXPECT_THAT(refusal({.dims = 9, .bits = 1, .keep = 5}),
              HasSubstr("9 dims are not on the ladder 8,16,32,48"));
  EXPECT_THAT(refusal({.dims = 8, .bits = 1, .keep = 0}), HasSubstr("keep is 0"));
  for (const auto& [params, message] : std::vector<std::pair<Params, std::string>>{
           {Ef(0), "efSearch is 0, it is a whole number from 1 to 100000"},
           {Ef(100'001), "efSearch is 100001"},
           {Ef(1.5), "efSearch is 1.5"},
           {Ef(std::nan("")), "efSearch is nan"},
           {{{"gamma", -0.1}}, "gamma is -0.1, it is 0 to 100"},
           {{{"gamma", 101}}, "gamma is 101"},
           {{{"gamma", std::nan("")}}, "gamma is nan"},
           {{{"nprobe", 9}}, "unknown parameter `nprobe`, it takes efSearch and gamma"}}) {
    EXPECT_THAT(refusal({.dims = 8, .bits = 1, .keep = 5, .params = &params}), HasSubstr(message));
  }
  float scores[1];
  const uint32_t row = 0;
  EXPECT_EQ(index->Estimate(query.data(), {32, 1}, {&row, 1}, scores).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(Graph, EndsWhereRowsAreFurtherAwayThanGammaSays) {
  Sample sample(Signs());
  const auto index = Build(sample);
  uint64_t scanned[4] = {};
  size_t hits[4] = {};
  std::vector<Candidate> last;
  for (uint32_t seed = 0; seed < 50; ++seed) {
    const std::vector<float> query = sample.QueryNear(seed * 100, seed);
    Request request = {.query = query.data(), .dims = 48, .bits = 1, .keep = 50, .k = 10};
    const auto truth =
        Find(sample, *sample.scan, {.query = query.data(), .dims = 48, .bits = 1, .keep = 10});
    const Params params[] = {{{"efSearch", 200}, {"gamma", 0}},
                             {{"efSearch", 200}, {"gamma", 0.3}},
                             {{"efSearch", 200}, {"gamma", 100}},
                             Ef(200)};
    for (size_t i = 0; i < 4; ++i) {
      request.params = &params[i];
      const auto result = index->Search(request);
      ASSERT_TRUE(result.ok()) << result.status();
      scanned[i] += result->rows_scanned;
      hits[i] += test::CountFound(result->candidates, truth);
      if (i == 3) ExpectSameRows(result->candidates, last);
      last = result->candidates;
    }
  }
  EXPECT_LT(scanned[0], scanned[1]);
  EXPECT_LT(scanned[1], scanned[2]);
  EXPECT_EQ(scanned[2], scanned[3]) << "nothing is so far away";
  EXPECT_LT(hits[0], hits[1]);
  EXPECT_LE(hits[1], hits[3]);
}

TEST_F(Graph, StopsWhenAsked) {
  Sample sample(Signs(1000));
  const auto index = Build(sample);
  const std::vector<float> query = sample.QueryNear(0, 1);
  const auto result = index->Search(
      {.query = query.data(), .dims = 48, .bits = 1, .keep = 5, .stopped = [] { return true; }});
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
}

TEST_F(Graph, ABuildThatIsStoppedLeavesNoFile) {
  const Sample sample(Signs(3000));
  const std::string path = sample.PathOf("stopped.idx");
  const absl::Status stopped = BuildIndex(FileSystem::Posix(), path, *sample.segment,
                                          WithDefaults({.kind = "graph"}, sample.schema),
                                          {.threads = 2, .stopped = [] { return true; }});
  EXPECT_EQ(stopped.code(), absl::StatusCode::kCancelled) << stopped;
  EXPECT_FALSE(FileSystem::Posix().Exists(path));
}

TEST_F(Graph, SaysBeforeWhatItWillTake) {
  Sample sample(Signs());
  const auto index = Build(sample);
  EXPECT_EQ(
      ExpectedMemoryBytes(sample.schema, WithDefaults({.kind = "graph"}, sample.schema), kRows),
      index->memory_bytes());
  EXPECT_EQ(index->memory_bytes(), kRows * (64 * 4 + 8u));
  EXPECT_EQ(index->Describe(), "graph 48b1, 64 links a row");
}

TEST_F(Graph, SpecsAreCheckedAgainstTheSchema) {
  const Sample sample(Signs(100));
  const auto refusal = [&](IndexSpec spec) {
    const absl::Status status =
        WithDefaults(std::move(spec), sample.schema).Validate(sample.schema);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_THAT(refusal({.kind = "graph", .degree = 3}),
              HasSubstr("3 links a row, it is a number from 4 to 256"));
  EXPECT_THAT(refusal({.kind = "graph", .degree = 257}), HasSubstr("257 links a row"));
  EXPECT_THAT(refusal({.kind = "graph", .code = {8, 8}}), HasSubstr("and not by 8b8"));
  EXPECT_THAT(refusal({.kind = "graph", .lists = 5}), HasSubstr("lists to ivf_scan"));
  EXPECT_THAT(refusal({.kind = "graph", .dims = 16, .code = {48, 1}}),
              HasSubstr("16 dims, the code has 48"));
  EXPECT_THAT(refusal({.kind = "ivf_scan", .degree = 8}), HasSubstr("belong to the kind graph"));
  const Sample bytes({.rows = 100, .codes = {{8, 8}}});
  EXPECT_THAT(
      std::string(WithDefaults({.kind = "graph"}, bytes.schema).Validate(bytes.schema).message()),
      HasSubstr("walked by stored signs, such as 512b1, and not by nothing"));
}

TEST_F(Graph, FilesWithAChangedByteAreRefused) {
  Sample sample(Signs(700));
  Build(sample);
  EXPECT_GE(RefusalsOfChangedBytes(sample, PathOf(sample, 0), "graph"),
            5);  // header and four sections
}

TEST(RowSet, HoldsEveryRowOnce) {
  RowSet set(20'000);
  std::set<uint32_t> wanted;
  for (uint32_t i = 0; i < 50'000; ++i) {
    const uint32_t row = i * 2654435761u % 20'000;
    EXPECT_EQ(set.Insert(row), wanted.insert(row).second);
  }
}

}  // namespace
}  // namespace mrl::coarse
