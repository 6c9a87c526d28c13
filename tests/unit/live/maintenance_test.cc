// What happens while segments are built, and what is given back afterwards.
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/collection/live_collection.h"
#include "tests/support/quick_disk.h"
#include "tests/support/test_folder.h"

namespace mrl::collection {
namespace {

using ::testing::IsEmpty;

// Does something else at the moment when a segment's file is made: in the middle of a seal or
// merge.
class HookedFiles final : public test::QuickFiles {
 public:
  std::function<void()> when_segment_is_made = {};

  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override {
    if (when_segment_is_made && absl::EndsWith(path, ".seg")) {
      const auto once = std::exchange(when_segment_is_made, nullptr);
      once();
    }
    return QuickFiles::Create(path);
  }
};

class Maintenance : public ::testing::Test {
 protected:
  void SetUp() override {
    Schema schema;
    schema.dim = 4;
    schema.ladder = {2, 4};
    ASSERT_TRUE(LiveCollection::Create(files_, path_, schema, env_.get()).ok());
    Open();
  }
  void Open() {
    live_.reset();
    LiveOptions options;
    options.env = env_.get();
    options.merge_fan_in = 2;
    auto opened = LiveCollection::Open(files_, path_, account_, options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    live_ = *std::move(opened);
    EXPECT_THAT(live_->removed_files(), IsEmpty());
  }
  void Put(uint64_t first, uint64_t end, const std::string& payload = "") {
    std::vector<PointWrite> points;
    for (uint64_t id = first; id < end; ++id) {
      points.push_back({.id = PointId(id), .vector = {1, 2, 3, 4}, .payload = payload});
    }
    const auto written = live_->Upsert(points, Durability::kAsync);
    ASSERT_TRUE(written.ok()) << written.status();
  }
  void Remove(uint64_t id) {
    const std::vector<PointId> ids = {PointId(id)};
    const auto deleted = live_->Delete(ids, Durability::kAsync);
    ASSERT_TRUE(deleted.ok()) << deleted.status();
    EXPECT_EQ(deleted->rows, 1u);
  }
  std::vector<uint64_t> Ids() {
    std::vector<uint64_t> ids;
    const auto version = live_->Read();
    for (const funnel::View::Part& part : version->view().parts) {
      for (uint32_t row = 0; row < part.segment->rows(); ++row) {
        const uint64_t* allowed = part.allowed_data();
        if (allowed != nullptr && ((allowed[row / 64] >> (row % 64)) & 1) == 0) continue;
        ids.push_back(part.segment->Id(row).number());
      }
    }
    return ids;
  }
  // In memory, after a restart, and by what Verify reads.
  void ExpectIds(const std::vector<uint64_t>& ids) {
    EXPECT_THAT(Ids(), ::testing::UnorderedElementsAreArray(ids));
    const uint64_t sequence = live_->sequence();
    Open();
    EXPECT_EQ(live_->sequence(), sequence);
    EXPECT_THAT(Ids(), ::testing::UnorderedElementsAreArray(ids));
    ASSERT_TRUE(live_->Close().ok());
    const absl::Status sound = Verify(files_, path_, {});
    EXPECT_TRUE(sound.ok()) << sound;
    Open();
  }

  test::TestFolder folder_;
  HookedFiles files_;
  const std::unique_ptr<rocksdb::Env> env_ = test::MakeQuickEnv();
  const std::string path_ = folder_.Path("collection");
  MemoryAccount account_{uint64_t{1} << 32};
  std::unique_ptr<LiveCollection> live_;
};

TEST_F(Maintenance, KeepsDeletionsThatArriveDuringAMerge) {
  Put(0, 5);
  ASSERT_TRUE(live_->Seal().ok());
  Put(5, 10);
  ASSERT_TRUE(live_->Seal().ok());
  bool ran = false;
  files_.when_segment_is_made = [&] {
    ran = true;
    Remove(1);
    Remove(7);
    Put(3, 4);  // a new row in the place of one that is being copied
  };
  ASSERT_TRUE(live_->Maintain().ok());
  ASSERT_TRUE(ran) << "nothing was merged";
  ExpectIds({0, 2, 3, 4, 5, 6, 8, 9});
}

TEST_F(Maintenance, KeepsDeletionsThatArriveDuringASeal) {
  Put(0, 10);
  bool ran = false;
  files_.when_segment_is_made = [&] {
    ran = true;
    Remove(0);
    Put(9, 12);
  };
  ASSERT_TRUE(live_->Seal().ok());
  ASSERT_TRUE(ran);
  ExpectIds({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
}

TEST_F(Maintenance, DropsAMergeOfWhichNothingIsLeft) {
  Put(0, 3);
  ASSERT_TRUE(live_->Seal().ok());
  Put(3, 6);
  ASSERT_TRUE(live_->Seal().ok());
  files_.when_segment_is_made = [&] {
    for (uint64_t id = 0; id < 6; ++id) Remove(id);
  };
  ASSERT_TRUE(live_->Maintain().ok());
  ExpectIds({});
  ASSERT_TRUE(live_->Maintain().ok());
  ExpectIds({});
}

// Rows of the tail lie in blob files, which a seal makes needless.
TEST_F(Maintenance, GivesBlobBytesBackAfterASeal) {
  const auto blob_bytes = [&] {
    uint64_t bytes = 0;
    const std::string database = JoinPath(path_, "db");
    const auto names = files_.List(database);
    for (const std::string& name : *names) {
      if (!absl::EndsWith(name, ".blob")) continue;
      if (const auto file = files_.Open(JoinPath(database, name)); file.ok()) {
        bytes += (*file)->size();
      }
    }
    return bytes;
  };
  const std::string payload = absl::StrCat("{\"text\":\"", std::string(100'000, 'x'), "\"}");
  for (uint64_t round = 0; round < 3; ++round) {
    for (uint64_t first = 0; first < 200; first += 20) Put(first, first + 20, payload);
    ASSERT_TRUE(live_->Close().ok());  // flushes
    Open();
    const uint64_t before = blob_bytes();
    EXPECT_GT(before, 1'000'000u) << round;
    ASSERT_TRUE(live_->Seal().ok());
    ASSERT_TRUE(live_->Maintain().ok());
    EXPECT_LT(blob_bytes(), before / 10) << round;
  }
}

}  // namespace
}  // namespace mrl::collection
