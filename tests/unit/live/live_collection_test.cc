#include "index/collection/live_collection.h"

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/funnel/profile.h"
#include "tests/support/quick_disk.h"
#include "tests/support/test_folder.h"
#include "tests/unit/live/model.h"

namespace mrl::collection {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Calls `before_create` when a file is made whose name ends in `suffix`: a moment in the middle of
// a build.
class WatchedFiles final : public test::QuickFiles {
 public:
  std::string suffix;
  std::function<void()> before_create;

  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override {
    if (before_create && path.find(suffix) != std::string::npos) {
      std::exchange(before_create, nullptr)();
    }
    return QuickFiles::Create(path);
  }
};

Schema SmallSchema() {
  Schema schema;
  schema.dim = 8;
  schema.ladder = {2, 4, 8};
  schema.codes = {{4, 8}};
  return schema;
}

std::vector<float> VectorOf(uint32_t number) {
  std::vector<float> vector(8);
  for (uint32_t i = 0; i < 8; ++i) vector[i] = static_cast<float>((number * 7 + i * 13) % 101) + 1;
  return vector;
}

class LiveCollectionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.seal_rows = 100;
    options_.env = env_.get();
    ASSERT_TRUE(LiveCollection::Create(files_, Path(), schema_, env_.get()).ok());
    Open();
  }
  std::string Path() const { return folder_.Path("collection"); }
  void Open() {
    live_.reset();
    auto opened = LiveCollection::Open(files_, Path(), account_, options_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    live_ = *std::move(opened);
  }
  // Points begin..end-1 with payloads that name them.
  absl::Status Put(uint32_t begin, uint32_t end, Durability durability = Durability::kAsync) {
    std::vector<PointWrite> points;
    for (uint32_t i = begin; i < end; ++i) {
      points.push_back({.id = PointId(uint64_t{i}),
                        .vector = VectorOf(i),
                        .payload = absl::StrCat("{\"n\":", i, "}")});
    }
    return live_->Upsert(std::move(points), durability).status();
  }
  absl::Status Remove(uint32_t begin, uint32_t end) {
    std::vector<PointId> ids;
    for (uint32_t i = begin; i < end; ++i) ids.emplace_back(uint64_t{i});
    return live_->Delete(ids, Durability::kAsync).status();
  }
  bool Has(uint32_t number) const {
    return funnel::Find(live_->Read()->view(), PointId(uint64_t{number})).has_value();
  }
  size_t Parts() const { return live_->Read()->view().parts.size(); }

  test::TestFolder folder_;
  WatchedFiles files_;
  const std::unique_ptr<rocksdb::Env> env_ = test::MakeQuickEnv();
  const Schema schema_ = SmallSchema();
  LiveOptions options_;
  MemoryAccount account_{uint64_t{1} << 30};
  std::unique_ptr<LiveCollection> live_;
};

TEST_F(LiveCollectionTest, BeginsEmptyAndAnswers) {
  const auto version = live_->Read();
  EXPECT_EQ(version->rows(), 0u);
  EXPECT_EQ(version->sequence(), 0u);
  EXPECT_THAT(version->kinds(), ElementsAre("scan"));
  funnel::PlanInput input = version->plan_input();
  const auto plan = funnel::MakePlan(input);
  ASSERT_TRUE(plan.ok()) << plan.status();
  const auto output = funnel::Run(version->view(), *plan, VectorOf(1), {});
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_THAT(output->hits, IsEmpty());
}

TEST_F(LiveCollectionTest, IsCreatedOnce) {
  const absl::Status again = LiveCollection::Create(files_, Path(), schema_, env_.get());
  EXPECT_EQ(again.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(again.message()), HasSubstr("exists"));
}

TEST_F(LiveCollectionTest, HasOneWriter) {
  const auto second = LiveCollection::Open(files_, Path(), account_, options_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("open for writing already"));
}

TEST_F(LiveCollectionTest, KeepsItsProfilesThroughWritesSealsAndReopening) {
  const auto save = [](funnel::ProfileSet& set) -> absl::Status {
    const funnel::ProfileVersion version = {
        .version = 0, .funnel = "4:50,24", .k = 10, .created_unix_s = 1, .note = ""};
    const absl::Status created = set.Create("fast", version);
    return created.ok() ? set.SetDefault("fast") : created;
  };
  ASSERT_TRUE(Put(0, 120).ok());
  const auto before = live_->Read();
  const absl::Status saved = live_->EditProfiles(save);
  ASSERT_TRUE(saved.ok()) << saved;
  EXPECT_TRUE(before->profiles().empty());
  EXPECT_EQ(live_->Read()->profiles().default_name, "fast");
  EXPECT_EQ(live_->EditProfiles(save).code(), absl::StatusCode::kAlreadyExists);
  ASSERT_TRUE(Put(120, 250).ok());
  ASSERT_TRUE(live_->Seal().ok());
  ASSERT_TRUE(live_->Maintain().ok());
  EXPECT_EQ(live_->Read()->profiles().default_name, "fast");
  Open();
  EXPECT_EQ(live_->Read()->profiles().Find("fast")->served().funnel, "4:50,24");
  EXPECT_EQ(live_->Read()->rows(), 250u);
}

TEST_F(LiveCollectionTest, IsReadByOthersWhileItIsWritten) {
  ASSERT_TRUE(Put(0, 250).ok());
  ASSERT_TRUE(live_->Maintain().ok());
  ASSERT_TRUE(Remove(0, 5).ok());
  const auto other = Collection::Open(files_, Path(), account_);
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_EQ((*other)->rows(), 245u);
  EXPECT_EQ((*other)->sequence(), live_->sequence());
  EXPECT_FALSE(funnel::Find((*other)->view(), PointId(uint64_t{3})).has_value());
  EXPECT_TRUE(funnel::Find((*other)->view(), PointId(uint64_t{249})).has_value());
}

TEST_F(LiveCollectionTest, RemembersAfterReopening) {
  ASSERT_TRUE(Put(0, 50).ok());
  ASSERT_TRUE(Remove(10, 20).ok());
  const uint64_t sequence = live_->sequence();
  EXPECT_EQ(sequence, 60u);
  Open();
  EXPECT_EQ(live_->Read()->rows(), 40u);
  EXPECT_EQ(live_->sequence(), sequence);
  EXPECT_FALSE(Has(15));
  EXPECT_TRUE(Has(25));
  // The number of a deletion is not given out again.
  ASSERT_TRUE(Remove(25, 26).ok());
  EXPECT_EQ(live_->sequence(), 61u);
  Open();
  EXPECT_EQ(live_->sequence(), 61u);
}

TEST_F(LiveCollectionTest, GoesOnFromABuiltDirectory) {
  const std::string path = folder_.Path("built");
  BuildOptions build;
  build.segment_rows_max = 60;
  auto builder = CollectionBuilder::Create(files_, path, schema_, build);
  ASSERT_TRUE(builder.ok());
  Chunk chunk;
  for (uint32_t i = 0; i < 100; ++i) {
    const std::vector<float> vector = VectorOf(i);
    chunk.vectors.insert(chunk.vectors.end(), vector.begin(), vector.end());
    chunk.ids.emplace_back(uint64_t{i});
  }
  ASSERT_TRUE((*builder)->Append(std::move(chunk)).ok());
  ASSERT_TRUE((*builder)->Finish().ok());

  auto opened = LiveCollection::Open(files_, path, account_, options_);
  ASSERT_TRUE(opened.ok()) << opened.status();
  live_ = *std::move(opened);
  EXPECT_EQ(live_->sequence(), 100u);
  ASSERT_TRUE(Put(90, 130).ok());
  ASSERT_TRUE(Remove(0, 10).ok());
  EXPECT_EQ(live_->Read()->rows(), 120u);
  ASSERT_TRUE(live_->Seal().ok());
  ASSERT_TRUE(live_->Close().ok());
  const absl::Status verified = Verify(files_, path, {});
  EXPECT_TRUE(verified.ok()) << verified;
  const auto read_only = Collection::Open(files_, path, account_);
  ASSERT_TRUE(read_only.ok()) << read_only.status();
  EXPECT_EQ((*read_only)->rows(), 120u);
}

TEST_F(LiveCollectionTest, NamesThePointThatCannotBeStored) {
  std::vector<PointWrite> points = {{.id = PointId("a"), .vector = VectorOf(1)},
                                    {.id = PointId("b"), .vector = std::vector<float>(8)}};
  absl::Status refused = live_->Upsert(points, Durability::kSync).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(refused.message(), "point 1 ('b'): its norm is zero, which COSINE cannot compare");
  points[1].vector.resize(7);
  refused = live_->Upsert(points, Durability::kSync).status();
  EXPECT_EQ(refused.message(), "point 1 ('b'): its vector has 7 dimensions; the collection has 8");
  EXPECT_EQ(live_->Read()->rows(), 0u);
  EXPECT_EQ(live_->sequence(), 0u);
}

TEST_F(LiveCollectionTest, HoldsToConditions) {
  ASSERT_TRUE(Put(0, 10).ok());
  PointWrite point = {.id = PointId(uint64_t{3}), .vector = VectorOf(99)};
  point.condition = PointWrite::Condition::kIfAbsent;
  absl::Status refused = live_->Upsert({point}, Durability::kSync).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(refused.message(), "point '3' exists already");
  point.condition = PointWrite::Condition::kIfSequence;
  point.sequence = 5;
  refused = live_->Upsert({point}, Durability::kSync).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(refused.message(), "point '3' has sequence 4; 5 was expected");
  point.sequence = 4;
  EXPECT_TRUE(live_->Upsert({point}, Durability::kSync).ok());
  const PointId absent(uint64_t{77});
  point.id = absent;
  refused = live_->Upsert({point}, Durability::kSync).status();
  EXPECT_EQ(refused.message(), "point '77' does not exist; sequence 4 was expected");
}

TEST_F(LiveCollectionTest, RemovesAndReportsUnnamedFiles) {
  ASSERT_TRUE(Put(0, 120).ok());
  ASSERT_TRUE(live_->Maintain().ok());
  test::WriteBytes(Path() + "/segments/000099.seg", "torn");
  test::WriteBytes(Path() + "/segments/.tmp-000100.seg", "");
  Open();
  EXPECT_THAT(live_->removed_files(), ElementsAre(".tmp-000100.seg", "000099.seg"));
  EXPECT_FALSE(std::filesystem::exists(Path() + "/segments/000099.seg"));
  EXPECT_EQ(live_->Read()->rows(), 120u);
}

TEST_F(LiveCollectionTest, SealsWhatIsFull) {
  int calls = 0;
  options_.on_work = [&calls] { ++calls; };
  Open();
  ASSERT_TRUE(Put(0, 99).ok());
  EXPECT_EQ(calls, 0);
  ASSERT_TRUE(Put(99, 101).ok());
  EXPECT_EQ(calls, 1);
  ASSERT_TRUE(live_->Maintain().ok());
  EXPECT_EQ(live_->tail_rows(), 0u);
  EXPECT_EQ(Parts(), 1u);
  ASSERT_TRUE(Put(101, 110).ok());
  EXPECT_EQ(live_->tail_rows(), 9u);
  EXPECT_EQ(live_->Read()->rows(), 110u);
}

TEST_F(LiveCollectionTest, KeepsDeletionsThatArriveWhileItSeals) {
  ASSERT_TRUE(Put(0, 150).ok());
  files_.suffix = ".scan.idx";
  files_.before_create = [this] {
    ASSERT_TRUE(Remove(10, 20).ok());
    ASSERT_TRUE(Put(30, 32).ok());
  };
  ASSERT_TRUE(live_->Maintain().ok());
  EXPECT_FALSE(Has(15));
  EXPECT_EQ(live_->Read()->rows(), 140u);
  Open();
  EXPECT_FALSE(Has(15));
  EXPECT_EQ(live_->Read()->rows(), 140u);
  EXPECT_TRUE(Verify(files_, Path(), {}).ok());
}

TEST_F(LiveCollectionTest, KeepsDeletionsThatArriveWhileItMerges) {
  options_.merge_fan_in = 3;
  Open();
  for (uint32_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(Put(i * 40, i * 40 + 40).ok());
    ASSERT_TRUE(live_->Seal().ok());
  }
  ASSERT_TRUE(Remove(5, 8).ok());
  const auto before = live_->Read();
  files_.suffix = "000004.scan.idx";
  files_.before_create = [this] {
    ASSERT_TRUE(Remove(50, 60).ok());
    ASSERT_TRUE(Put(70, 72).ok());
  };
  ASSERT_TRUE(live_->Maintain().ok());
  EXPECT_FALSE(Has(55));
  EXPECT_EQ(live_->Read()->rows(), 107u);
  EXPECT_EQ(Parts(), 2u);
  EXPECT_TRUE(funnel::Find(before->view(), PointId(uint64_t{55})).has_value());
  EXPECT_TRUE(before->view().parts[1].segment->Payload(3).ok());
  Open();
  EXPECT_FALSE(Has(55));
  EXPECT_FALSE(Has(6));
  EXPECT_EQ(live_->Read()->rows(), 107u);
  EXPECT_TRUE(Verify(files_, Path(), {}).ok());
}

TEST_F(LiveCollectionTest, GivesTheSpaceOfSealedRowsBack) {
  options_.seal_rows = 10'000;
  Open();
  const std::string payload = absl::StrCat("{\"x\":\"", std::string(20'000, 'x'), "\"}");
  const auto database_bytes = [this] {
    uint64_t bytes = 0;
    for (const auto& entry : std::filesystem::directory_iterator(Path() + "/db")) {
      bytes += entry.file_size();
    }
    return bytes;
  };
  for (uint32_t i = 0; i < 2000; ++i) {
    std::vector<PointWrite> points = {
        {.id = PointId(uint64_t{i}), .vector = VectorOf(i), .payload = payload}};
    ASSERT_TRUE(live_->Upsert(std::move(points), Durability::kAsync).ok());
  }
  EXPECT_GT(database_bytes(), 2000u * 20'000u);
  ASSERT_TRUE(live_->Seal().ok());
  ASSERT_TRUE(live_->Close().ok());  // RocksDB may remove files a little later
  EXPECT_LT(database_bytes(), 5'000'000u);
}

TEST_F(LiveCollectionTest, RefusesWhatMemoryDoesNotHold) {
  live_.reset();
  MemoryAccount small(100'000);
  auto opened = LiveCollection::Open(files_, Path(), small, options_);
  ASSERT_TRUE(opened.ok());
  live_ = *std::move(opened);
  const absl::Status refused = Put(0, 5000);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("100000"));
  EXPECT_EQ(live_->Read()->rows(), 0u);
  EXPECT_TRUE(Put(0, 10).ok());
  EXPECT_TRUE(Remove(0, 5).ok());
  EXPECT_EQ(live_->Read()->rows(), 5u);
  live_.reset();
}

TEST_F(LiveCollectionTest, TakesNothingOnceItIsClosed) {
  ASSERT_TRUE(Put(0, 10).ok());
  const auto version = live_->Read();
  ASSERT_TRUE(live_->Close().ok());
  EXPECT_EQ(Put(10, 20).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(version->rows(), 10u);
  EXPECT_TRUE(live_->Close().ok());
}

TEST_F(LiveCollectionTest, IsWrittenAndSearchedByManyThreads) {
  options_.seal_rows = 50;
  options_.merge_fan_in = 2;
  Open();
  constexpr uint32_t kWriters = 4;
  constexpr uint32_t kRounds = 60;
  std::vector<std::thread> threads;
  std::atomic<bool> done = false;
  std::atomic<int> failures = 0;
  for (uint32_t writer = 0; writer < kWriters; ++writer) {
    threads.emplace_back([&, writer] {
      for (uint32_t round = 0; round < kRounds; ++round) {
        const uint32_t begin = writer * 10'000 + round * 10;
        if (!Put(begin, begin + 10, Durability::kSync).ok()) ++failures;
        if (!Has(begin + 9)) ++failures;  // found as soon as the call returned
        if (!Remove(begin, begin + 3).ok() || Has(begin + 1)) ++failures;
      }
    });
  }
  threads.emplace_back([&] {
    while (!done) {
      if (!live_->Maintain().ok()) ++failures;
    }
  });
  threads.emplace_back([&] {
    uint64_t sequence = 0;
    while (!done) {
      const auto version = live_->Read();
      if (version->sequence() < sequence) ++failures;
      sequence = version->sequence();
      funnel::PlanInput input = version->plan_input();
      const auto output = funnel::Run(version->view(), *funnel::MakePlan(input), VectorOf(7), {});
      if (!output.ok()) ++failures;
    }
  });
  for (uint32_t writer = 0; writer < kWriters; ++writer) threads[writer].join();
  done = true;
  threads[kWriters].join();
  threads[kWriters + 1].join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(live_->Read()->rows(), kWriters * kRounds * 7);
  ASSERT_TRUE(live_->Close().ok());
  EXPECT_TRUE(Verify(files_, Path(), {}).ok());
}

}  // namespace
}  // namespace mrl::collection
