// Coarse indexes of a collection that takes writes: which segments have them, what survives, and
// what is refused.
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/collection/live_collection.h"
#include "tests/support/quick_disk.h"
#include "tests/support/test_folder.h"

namespace mrl::collection {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

std::vector<float> VectorOf(uint32_t number) {
  std::vector<float> vector(8);
  for (uint32_t i = 0; i < 8; ++i) {
    vector[i] = static_cast<float>((number * 7 + i * 13) % 101) - 50;
  }
  return vector;
}

coarse::IndexSpec Lists() { return {.kind = "ivf_scan", .dims = 4, .lists = 2, .code = {8, 1}}; }

class LiveIndex : public ::testing::Test {
 protected:
  void SetUp() override {
    Schema schema;
    schema.dim = 8;
    schema.ladder = {2, 4, 8};
    schema.codes = {{4, 8}, {8, 1}};
    options_.seal_rows = 200;
    options_.env = env_.get();
    ASSERT_TRUE(LiveCollection::Create(files_, Path(), schema, env_.get()).ok());
    Open();
  }
  std::string Path() const { return folder_.Path("collection"); }
  void Open() {
    live_.reset();
    auto opened = LiveCollection::Open(files_, Path(), account_, options_);
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
  void Seal(uint32_t begin, uint32_t end) {
    Put(begin, end);
    ASSERT_TRUE(live_->Seal().ok());
  }
  // What each part says of its index of the kind.
  std::vector<std::string> Described(const std::string& kind) const {
    std::vector<std::string> described;
    for (const auto& part : live_->Read()->view().parts) {
      for (const auto& index : part.indexes) {
        if (index->kind() == kind) described.push_back(index->Describe());
      }
    }
    return described;
  }
  std::vector<std::string> FileNames() const {
    std::vector<std::string> names;
    for (const auto& file : std::filesystem::directory_iterator(Path() + "/segments")) {
      names.push_back(file.path().filename().string());
    }
    return names;
  }
  // Rows found by a funnel that keeps every row, and by exact search.
  void ExpectSameAsExact(const std::string& funnel) {
    const auto collection = live_->Read();
    funnel::PlanInput input = collection->plan_input();
    input.exact = true;
    const auto exact = funnel::MakePlan(input);
    input.exact = false;
    const auto parsed = funnel::ParseFunnel(funnel);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    input.funnel = *parsed;
    const auto plan = funnel::MakePlan(input);
    ASSERT_TRUE(plan.ok()) << plan.status();
    const auto wanted = funnel::Run(collection->view(), *exact, VectorOf(5), {});
    const auto found = funnel::Run(collection->view(), *plan, VectorOf(5), {});
    ASSERT_TRUE(wanted.ok() && found.ok()) << found.status();
    ASSERT_EQ(found->hits.size(), wanted->hits.size());
    for (size_t i = 0; i < wanted->hits.size(); ++i) {
      EXPECT_EQ(found->hits[i].at.part, wanted->hits[i].at.part);
      EXPECT_EQ(found->hits[i].at.row, wanted->hits[i].at.row);
      EXPECT_EQ(found->hits[i].score, wanted->hits[i].score);
    }
  }

  test::TestFolder folder_;
  test::QuickFiles files_;
  const std::unique_ptr<rocksdb::Env> env_ = test::MakeQuickEnv();
  LiveOptions options_;
  MemoryAccount account_{uint64_t{1} << 30};
  std::unique_ptr<LiveCollection> live_;
};

TEST_F(LiveIndex, IsBuiltForSegmentsThatAreThereAndThoseToCome) {
  Seal(0, 200);
  ASSERT_TRUE(live_->AddIndex(Lists(), {.activate = true}).ok());
  EXPECT_THAT(live_->Read()->kinds(), ElementsAre("ivf_scan", "scan"));
  EXPECT_THAT(Described("ivf_scan"), ElementsAre("ivf_scan 2 lists on 4 dims, 8b1"));
  Seal(200, 400);
  Put(400, 420);
  EXPECT_THAT(Described("ivf_scan"),
              ElementsAre("ivf_scan 2 lists on 4 dims, 8b1", "ivf_scan 2 lists on 4 dims, 8b1",
                          "every row, for ivf_scan"));
  ExpectSameAsExact("ivf_scan(nprobe=2)/8b1:420,8:10");
}

TEST_F(LiveIndex, ChoosesThePrefixOfAProductQuantiser) {
  const coarse::IndexSpec spec = {.kind = "faiss", .factory = "PQ2x4"};
  EXPECT_EQ(live_->AddIndex(spec, {}).code(), absl::StatusCode::kFailedPrecondition);
  Seal(0, 200);
  ASSERT_TRUE(live_->AddIndex(spec, {}).ok());
  ASSERT_THAT(live_->indexes(), SizeIs(1));
  const uint32_t dims = live_->indexes().front().dims;
  EXPECT_THAT(std::vector<uint32_t>({2, 4, 8}), Contains(dims));
  Seal(200, 400);
  const std::string described = absl::StrCat("faiss PQ2x4 on ", dims, " dims");
  EXPECT_THAT(Described("faiss"), ElementsAre(described, described));
}

TEST_F(LiveIndex, IsThereAfterMergingAndReopening) {
  ASSERT_TRUE(live_->AddIndex(Lists(), {}).ok());
  for (uint32_t i = 0; i < 4; ++i) Seal(i * 100, (i + 1) * 100);
  ASSERT_TRUE(live_->Maintain().ok());
  EXPECT_THAT(Described("ivf_scan"), ElementsAre("ivf_scan 2 lists on 4 dims, 8b1"));
  Open();
  EXPECT_THAT(live_->removed_files(), IsEmpty());
  EXPECT_THAT(live_->Read()->kinds(), ElementsAre("scan", "ivf_scan"));
  EXPECT_THAT(live_->indexes(), ElementsAre(Lists()));
  Seal(400, 500);
  EXPECT_THAT(Described("ivf_scan"),
              ElementsAre("ivf_scan 2 lists on 4 dims, 8b1", "ivf_scan 1 lists on 4 dims, 8b1"));
  ExpectSameAsExact("ivf_scan(nprobe=1)/8b1:500,8:10");
}

TEST_F(LiveIndex, IsChosenAndDropped) {
  Seal(0, 200);
  ASSERT_TRUE(live_->AddIndex(Lists(), {}).ok());
  const auto before = live_->Read();
  ASSERT_TRUE(live_->UseIndex("ivf_scan").ok());
  EXPECT_THAT(live_->Read()->kinds(), ElementsAre("ivf_scan", "scan"));
  EXPECT_THAT(before->kinds(), ElementsAre("scan", "ivf_scan"));  // a version stays what it was
  ASSERT_TRUE(live_->UseIndex("scan").ok());
  ASSERT_TRUE(live_->DropIndex("ivf_scan").ok());
  EXPECT_THAT(live_->Read()->kinds(), ElementsAre("scan"));
  EXPECT_THAT(FileNames(), Not(Contains(HasSubstr("ivf_scan"))));
  EXPECT_THAT(live_->indexes(), IsEmpty());
  Open();
  EXPECT_THAT(live_->Read()->kinds(), ElementsAre("scan"));
}

TEST_F(LiveIndex, RefusesWhatCannotBe) {
  Seal(0, 200);
  const auto refusal = [](const absl::Status& status, absl::StatusCode code) {
    EXPECT_EQ(status.code(), code) << status;
    return std::string(status.message());
  };
  EXPECT_THAT(refusal(live_->AddIndex({.kind = "ivf_scan", .dims = 3}, {}),
                      absl::StatusCode::kInvalidArgument),
              HasSubstr("3 dims are not on the ladder 2,4,8"));
  EXPECT_THAT(refusal(live_->UseIndex("ivf_scan"), absl::StatusCode::kNotFound),
              HasSubstr("no index of the kind `ivf_scan` is built, these are: scan"));
  ASSERT_TRUE(live_->AddIndex(Lists(), {.activate = true}).ok());
  EXPECT_THAT(refusal(live_->AddIndex(Lists(), {}), absl::StatusCode::kAlreadyExists),
              HasSubstr("there is an index of the kind ivf_scan; drop it first"));
  EXPECT_THAT(refusal(live_->DropIndex("ivf_scan"), absl::StatusCode::kFailedPrecondition),
              HasSubstr("active; use another one first"));
  EXPECT_THAT(refusal(live_->DropIndex("scan"), absl::StatusCode::kFailedPrecondition),
              HasSubstr("the kind scan stays"));
  EXPECT_THAT(refusal(live_->DropIndex("faiss"), absl::StatusCode::kNotFound),
              HasSubstr("`faiss` is built"));
}

TEST_F(LiveIndex, OfABuildThatWasStoppedLeavesNothing) {
  Seal(0, 200);
  Seal(200, 400);
  uint64_t calls = 0;
  const absl::Status stopped = live_->AddIndex(Lists(), {.progress =
                                                             [&](uint64_t done, uint64_t rows) {
                                                               EXPECT_EQ(rows, 400u);
                                                               EXPECT_EQ(done, 200 * calls++);
                                                             },
                                                         .stopped = [&] { return calls == 2; }});
  EXPECT_EQ(stopped.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(calls, 2u);
  EXPECT_THAT(FileNames(), Not(Contains(HasSubstr("ivf_scan"))));
  EXPECT_THAT(live_->Read()->kinds(), ElementsAre("scan"));
  ASSERT_TRUE(live_->AddIndex(Lists(), {}).ok());
}

TEST_F(LiveIndex, TakesFaissToo) {
  Seal(0, 200);
  ASSERT_TRUE(
      live_->AddIndex({.kind = "faiss", .dims = 8, .factory = "Flat"}, {.activate = true}).ok());
  Seal(200, 400);
  EXPECT_THAT(Described("faiss"), ElementsAre("faiss Flat on 8 dims", "faiss Flat on 8 dims"));
  ExpectSameAsExact("faiss/8:10");
  Open();
  EXPECT_THAT(live_->Read()->kinds().front(), StartsWith("faiss"));
}

}  // namespace
}  // namespace mrl::collection
