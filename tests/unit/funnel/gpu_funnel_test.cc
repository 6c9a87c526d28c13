// Funnels whose index runs several stages: what is found must be what the stages find one by one.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/coarse/gpu/device_set.h"
#include "index/coarse/stand_in.h"
#include "index/funnel/run.h"
#include "tests/support/host_gpu.h"
#include "tests/unit/coarse/sample.h"

namespace mrl::funnel {
namespace {

using coarse::gpu::DeviceSet;
using test::HostGpu;
using test::Sample;
using ::testing::SizeIs;

// One segment with both kinds, and, as a tail, one where the device has nothing.
class GpuFunnel : public ::testing::TestWithParam<std::string> {
 protected:
  GpuFunnel()
      : first_({.rows = 12'000, .codes = {{16, 8}, {48, 1}}}),
        tail_({.rows = 700, .codes = {{16, 8}, {48, 1}}, .edit = Scale}) {
    std::vector<std::unique_ptr<coarse::gpu::Device>> devices;
    devices.push_back(std::make_unique<HostGpu>(test::HostGpuOptions{}));
    devices_ = std::make_unique<DeviceSet>(std::move(devices), coarse::gpu::GpuOptions{}, "");
    view_.schema = first_.schema;
    view_.kinds = {"scan", "gpu_scan"};
    view_.parts.push_back(
        {.segment = first_.segment, .indexes = {first_.scan, *devices_->Make(first_.scan)}});
  }
  void AddTail() {
    view_.parts.push_back({.segment = tail_.segment,
                           .indexes = {coarse::MakeStandIn("scan", tail_.segment),
                                       coarse::MakeStandIn("gpu_scan", tail_.segment)}});
  }
  static void Scale(std::vector<float>& vectors) {
    for (float& value : vectors) value = -value * 1.25F + 0.01F;
  }
  absl::StatusOr<Output> Search(const std::string& kind, const std::vector<float>& query,
                                const RunOptions& options = {}) const {
    PlanInput input;
    input.schema = &view_.schema;
    input.kinds = view_.kinds;
    input.query_dims = view_.schema.dim;
    input.funnel = *ParseFunnel(kind + "/" + GetParam());
    const auto plan = MakePlan(input);
    EXPECT_TRUE(plan.ok()) << plan.status();
    return funnel::Run(view_, *plan, query, options);
  }
  // The same hits, to the bit: scores of a result are computed by the CPU.
  static void ExpectSame(const absl::StatusOr<Output>& gpu, const absl::StatusOr<Output>& cpu) {
    ASSERT_TRUE(gpu.ok() && cpu.ok()) << gpu.status() << cpu.status();
    ASSERT_EQ(gpu->hits.size(), cpu->hits.size());
    for (size_t i = 0; i < cpu->hits.size(); ++i) {
      EXPECT_EQ(gpu->hits[i].at, cpu->hits[i].at) << i;
      EXPECT_EQ(gpu->hits[i].score, cpu->hits[i].score) << i;
    }
  }

  const Sample first_;
  const Sample tail_;
  std::unique_ptr<DeviceSet> devices_;
  View view_;
};
INSTANTIATE_TEST_SUITE_P(Plans, GpuFunnel,
                         ::testing::Values("48:10", "16b8:300,48:10", "16:200,32:60,48:10",
                                           "8b1:5000,48b1:400,48:10", "48b1:10"),
                         [](const auto& plan) { return "plan" + std::to_string(plan.index); });

TEST_P(GpuFunnel, FindsWhatTheCpuFindsAndTracesItAlike) {
  for (uint32_t i = 0; i < 10; ++i) {
    const std::vector<float> query = first_.QueryNear(i * 1000, i);
    const auto gpu = Search("gpu_scan", query);
    const auto cpu = Search("scan", query);
    ExpectSame(gpu, cpu);
    for (size_t s = 0; s < cpu->trace.stages.size(); ++s) {
      const StageTrace& one = gpu->trace.stages[s];
      const StageTrace& other = cpu->trace.stages[s];
      EXPECT_EQ(one.kind, s == 0 ? "gpu_scan" : "rerank");
      EXPECT_EQ(one.candidates_in, other.candidates_in) << s;
      EXPECT_EQ(one.candidates_out, other.candidates_out) << s;
      EXPECT_NEAR(one.score_cut, other.score_cut, 1e-5) << s;
    }
    EXPECT_EQ(gpu->trace.multiply_adds, cpu->trace.multiply_adds);
  }
}

TEST_P(GpuFunnel, MergesWithRowsThatNoDeviceHas) {
  AddTail();
  for (uint32_t i = 0; i < 10; ++i) {
    // Of the tail and of the segment by turns. The tail's rows are all of its stages' best.
    const std::vector<float> query =
        i % 2 == 0 ? tail_.QueryNear(i * 50, i) : first_.QueryNear(i * 1000, i);
    ExpectSame(Search("gpu_scan", query), Search("scan", query));
  }
}

TEST_P(GpuFunnel, LeavesOutTheRowThatIsSearchedBy) {
  for (const uint32_t row : {0U, 63U, 11'999U}) {
    const std::vector<float> query(first_.row(row), first_.row(row) + view_.schema.dim);
    const RunOptions options = {.leave_out = Location{0, row}};
    const auto gpu = Search("gpu_scan", query, options);
    ExpectSame(gpu, Search("scan", query, options));
    for (const Hit& hit : gpu->hits) EXPECT_NE(hit.at, (Location{0, row}));
  }
}

TEST_P(GpuFunnel, FollowsAPointThroughItsStages) {
  const std::vector<float> query = first_.QueryNear(77, 1);
  const PointId id = first_.IdOf(78);
  const RunOptions options = {.why_not = {&id, 1}};
  const auto gpu = Search("gpu_scan", query, options);
  const auto cpu = Search("scan", query, options);
  ExpectSame(gpu, cpu);
  ASSERT_THAT(gpu->trace.why_not, SizeIs(1));
  EXPECT_EQ(gpu->trace.why_not[0].lost_at, cpu->trace.why_not[0].lost_at);
}

TEST_P(GpuFunnel, SkipsDeletedRows) {
  auto allowed = std::make_shared<std::vector<uint64_t>>((12'000 + 63) / 64, ~uint64_t{0});
  for (size_t word = 0; word < allowed->size(); word += 2) (*allowed)[word] = 0x5555555555555555;
  view_.parts[0].allowed = allowed;
  for (uint32_t i = 0; i < 5; ++i) {
    const std::vector<float> query = first_.QueryNear(i * 1000, i);
    ExpectSame(Search("gpu_scan", query), Search("scan", query));
  }
}

}  // namespace
}  // namespace mrl::funnel
