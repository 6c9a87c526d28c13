#include "tests/unit/coarse/on_gpu.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/coarse/level_scorer.h"
#include "index/coarse/shortlist.h"

namespace mrl::test {

namespace gpu = coarse::gpu;
using coarse::Candidate;
using coarse::CoarseIndex;
using coarse::KeyedRow;
using coarse::LaterStage;
using coarse::LevelScorer;
using coarse::Request;
using coarse::Result;
using gpu::DeviceSet;
using ::testing::SizeIs;

OnGpu::OnGpu(const Sample& sample, const HostGpuOptions& options,
             const gpu::GpuOptions& gpu_options, size_t devices) {
  std::vector<std::unique_ptr<gpu::Device>> made;
  for (size_t i = 0; i < devices; ++i) {
    auto device = std::make_unique<HostGpu>(options);
    host.push_back(device.get());
    made.push_back(std::move(device));
  }
  const char* why_not = devices == 0 ? "no device was made" : "";
  set = std::make_unique<DeviceSet>(std::move(made), gpu_options, why_not);
  auto opened = set->MakeScan(sample.scan);
  EXPECT_TRUE(opened.ok()) << opened.status();
  if (opened.ok()) index = *std::move(opened);
}

Found ByRow(const Result& result) {
  Found found;
  for (const Candidate& candidate : result.candidates) {
    found.emplace_back(candidate.row, candidate.score);
  }
  std::sort(found.begin(), found.end());
  return found;
}

// Both kinds find the same rows with the same scores.
void ExpectSame(const Sample& sample, const CoarseIndex& index, const Request& request) {
  const auto cpu = sample.scan->Search(request);
  const auto device = index.Search(request);
  ASSERT_TRUE(cpu.ok()) << cpu.status();
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_EQ(ByRow(*device), ByRow(*cpu))
      << request.dims << "b" << request.bits << " keep " << request.keep;
  EXPECT_EQ(device->rows_scanned, cpu->rows_scanned);
}

// As ExpectSame for stored values, whose sums may differ by rounding: scores agree, and a row that
// only one has is no better than the last.
void ExpectSameStored(const Sample& sample, const CoarseIndex& index, const Request& request) {
  auto cpu = Find(sample, *sample.scan, request);
  auto device = Find(sample, index, request);
  ASSERT_EQ(device.size(), cpu.size());
  for (size_t i = 0; i < cpu.size(); ++i) {
    const double tolerance = sample.Tolerance(request.query, cpu[i].row, request.dims) + 1e-12;
    EXPECT_NEAR(device[i].score, cpu[i].score, tolerance) << "rank " << i;
  }
}

namespace {

// What the CPU finds when it runs the stages one after the other, from keys of LevelScorer.
std::vector<KeyedRow> RunStages(const Sample& sample, const float* query,
                                const std::vector<LaterStage>& stages) {
  auto first = sample.scan->Search(
      {.query = query, .dims = stages[0].dims, .bits = stages[0].bits, .keep = stages[0].keep});
  EXPECT_TRUE(first.ok());
  std::vector<KeyedRow> rows;
  for (const Candidate& c : first->candidates) rows.push_back({0, c.row});
  for (size_t stage = 1; stage < stages.size(); ++stage) {
    const auto level = static_cast<size_t>(sample.schema.LevelOf(stages[stage].dims));
    const LevelScorer scorer(*sample.segment, query, level);
    for (KeyedRow& row : rows) {
      float score = 0;
      if (stages[stage].bits == 0) {
        row.key = scorer.Key(row.row, level);
      } else {
        EXPECT_TRUE(
            sample.scan
                ->Estimate(query, {stages[stage].dims, stages[stage].bits}, {&row.row, 1}, &score)
                .ok());
        row.key = coarse::ScoreOfKey(sample.schema.metric, score);
      }
    }
    if (stage + 1 < stages.size()) CutByKeyThenRow(rows, stages[stage].keep);
  }
  return rows;
}

uint64_t RowBytes(const Schema& schema, const LaterStage& stage) {
  if (stage.bits != 0) return uint64_t{stage.dims} * stage.bits / 8;
  uint64_t bytes = 0;
  for (size_t level = 0; level < schema.levels() && schema.ladder[level] <= stage.dims; ++level) {
    bytes += schema.level_bytes(level);
  }
  return bytes;
}

}  // namespace

void ExpectFunnel(const Sample& sample, const CoarseIndex& index,
                  const std::vector<LaterStage>& stages, size_t stages_run) {
  const std::vector<float> query = sample.QueryNear(17, 3);
  const absl::Span<const LaterStage> later = absl::MakeSpan(stages).subspan(1);
  const auto result = index.Search({.query = query.data(),
                                    .dims = stages[0].dims,
                                    .bits = stages[0].bits,
                                    .keep = stages[0].keep,
                                    .later = later});
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_THAT(result->later, SizeIs(stages_run - 1));
  std::vector<LaterStage> run(stages.begin(), stages.begin() + static_cast<ptrdiff_t>(stages_run));
  std::vector<KeyedRow> expected = RunStages(sample, query.data(), run);
  if (stages_run < stages.size()) CutByKeyThenRow(expected, run.back().keep);
  Found wanted;
  for (const KeyedRow& row : expected) {
    wanted.emplace_back(row.row, coarse::ScoreOfKey(sample.schema.metric, row.key));
  }
  std::sort(wanted.begin(), wanted.end());
  const Found found = ByRow(*result);
  ASSERT_EQ(found.size(), wanted.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].first, wanted[i].first);
    EXPECT_NEAR(found[i].second, wanted[i].second, 1e-5 * (1 + std::abs(wanted[i].second)));
  }
  uint64_t in = std::min(stages[0].keep, sample.rows());
  EXPECT_EQ(result->kept, in);
  for (size_t i = 0; i < result->later.size(); ++i) {
    EXPECT_EQ(result->later[i].candidates_in, in);
    EXPECT_EQ(result->later[i].bytes, in * RowBytes(sample.schema, stages[i + 1]));
    in = result->later[i].candidates_out;
  }
  EXPECT_EQ(in, result->candidates.size());
}

}  // namespace mrl::test
