// GPU kinds of a collection that takes writes: which parts have them, and that answers stay.
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/coarse/gpu/device_set.h"
#include "index/collection/live_collection.h"
#include "tests/support/host_gpu.h"
#include "tests/support/quick_disk.h"
#include "tests/support/test_folder.h"

namespace mrl::collection {
namespace {

using coarse::gpu::DeviceSet;
using test::HostGpu;
using ::testing::ElementsAre;

std::vector<float> VectorOf(uint32_t number) {
  std::vector<float> vector(8);
  for (uint32_t i = 0; i < 8; ++i) {
    vector[i] = static_cast<float>((number * 7 + i * 13) % 101) - 50;
  }
  return vector;
}

class LiveGpu : public ::testing::Test {
 protected:
  LiveGpu() {
    auto device = std::make_unique<HostGpu>(test::HostGpuOptions{});
    device_ = device.get();
    std::vector<std::unique_ptr<coarse::gpu::Device>> devices;
    devices.push_back(std::move(device));
    set_ = std::make_unique<DeviceSet>(std::move(devices), coarse::gpu::GpuOptions{}, "");
  }
  void SetUp() override {
    Schema schema;
    schema.dim = 8;
    schema.ladder = {2, 4, 8};
    schema.codes = {{4, 8}, {8, 1}};
    options_.env = env_.get();
    options_.open.gpu = set_.get();
    ASSERT_TRUE(LiveCollection::Create(files_, folder_.Path("c"), schema, env_.get()).ok());
    auto opened = LiveCollection::Open(files_, folder_.Path("c"), account_, options_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    live_ = *std::move(opened);
  }
  void Put(uint32_t begin, uint32_t end) {
    std::vector<PointWrite> points;
    for (uint32_t i = begin; i < end; ++i) {
      points.push_back({.id = PointId(uint64_t{i}), .vector = VectorOf(i)});
    }
    ASSERT_TRUE(live_->Upsert(std::move(points), Durability::kAsync).ok());
  }
  std::vector<PointId> Search(const std::string& funnel, uint32_t number) const {
    const auto version = live_->Read();
    funnel::PlanInput input = version->plan_input();
    input.k = 5;
    input.funnel = *funnel::ParseFunnel(funnel);
    const auto plan = funnel::MakePlan(input);
    EXPECT_TRUE(plan.ok()) << plan.status();
    const auto output = funnel::Run(version->view(), *plan, VectorOf(number), {});
    EXPECT_TRUE(output.ok()) << output.status();
    std::vector<PointId> ids;
    for (const funnel::Hit& hit : output->hits) {
      ids.push_back(version->view().parts[hit.at.part].segment->Id(hit.at.row));
    }
    return ids;
  }
  void ExpectSame() const {
    for (const char* stages : {"4:30,8:5", "8b1:40,8:5", "4b8:30,8:5"}) {
      for (uint32_t i = 0; i < 300; i += 37) {
        EXPECT_EQ(Search(std::string("gpu_scan/") + stages, i),
                  Search(std::string("scan/") + stages, i))
            << stages << " of " << i;
      }
    }
  }

  test::TestFolder folder_;
  test::QuickFiles files_;
  const std::unique_ptr<rocksdb::Env> env_ = test::MakeQuickEnv();
  HostGpu* device_ = nullptr;
  std::unique_ptr<DeviceSet> set_;
  MemoryAccount account_{uint64_t{1} << 30};
  LiveOptions options_;
  std::unique_ptr<LiveCollection> live_;
};

TEST_F(LiveGpu, HasItsKindWithoutAnyRow) {
  EXPECT_THAT(live_->Read()->kinds(), ElementsAre("scan", "gpu_scan"));
  EXPECT_TRUE(Search("gpu_scan/4:30,8:5", 1).empty());
}

TEST_F(LiveGpu, PutsSegmentsOnTheDeviceWhenTheyAreMade) {
  Put(0, 200);
  ExpectSame();
  EXPECT_EQ(device_->account().used_bytes(), 0u);  // the tail is the CPU's
  ASSERT_TRUE(live_->Seal().ok());
  EXPECT_GT(device_->account().used_bytes(), 0u);
  EXPECT_EQ(live_->Read()->view().parts[0].indexes[1]->kind(), "gpu_scan");
  Put(200, 300);
  ASSERT_TRUE(
      live_->Delete({{PointId(uint64_t{37}), PointId(uint64_t{74})}}, Durability::kAsync).ok());
  ExpectSame();
  EXPECT_GT(device_->scans(), 0u);
}

TEST_F(LiveGpu, AddsAndDropsTheKindOfAnIndexWithIt) {
  Put(0, 200);
  ASSERT_TRUE(live_->Seal().ok());
  ASSERT_TRUE(live_->AddIndex({.kind = "faiss", .dims = 4, .factory = "Flat"}, {}).ok());
  EXPECT_THAT(live_->Read()->kinds(), ElementsAre("scan", "faiss", "gpu_scan", "faiss_gpu"));
  // This build has no FAISS for devices, or the device is none of FAISS's: the CPU answers.
  EXPECT_EQ(Search("faiss_gpu/4:30,8:5", 3), Search("faiss/4:30,8:5", 3));
  ASSERT_TRUE(live_->DropIndex("faiss").ok());
  EXPECT_THAT(live_->Read()->kinds(), ElementsAre("scan", "gpu_scan"));
  ExpectSame();
}

}  // namespace
}  // namespace mrl::collection
