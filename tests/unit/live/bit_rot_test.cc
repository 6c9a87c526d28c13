// One bit, or one sector, in the files of a live collection: noticed, or never read.
// MRL_FLIPS sets how many, MRL_SEED where they begin.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/collection/live_collection.h"
#include "tests/support/quick_disk.h"
#include "tests/support/test_folder.h"
#include "tests/unit/live/model.h"

namespace mrl::collection {
namespace {

uint64_t NumberFrom(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

class BitRot : public ::testing::Test {
 protected:
  // Two segments with deletions and fields, and a tail.
  void SetUp() override {
    schema_.dim = 4;
    schema_.ladder = {2, 4};
    schema_.codes = {{2, 8}};
    schema_.fields = {{"n", FieldType::kInt}, {"word", FieldType::kKeyword}};
    model_ = std::make_unique<test::Model>(schema_);
    ASSERT_TRUE(LiveCollection::Create(files_, path_, schema_, env_.get()).ok());
    auto live = Open(path_);
    ASSERT_TRUE(live.ok()) << live.status();
    uint64_t sequence = 0;
    for (uint32_t round = 0; round < 3; ++round) {
      std::vector<PointWrite> points;
      for (uint32_t i = round * 50; i < round * 50 + 60; ++i) {
        points.push_back({.id = i % 2 == 0 ? PointId(uint64_t{i}) : PointId(absl::StrCat("p", i)),
                          .vector = {1, 2, static_cast<float>(i), 4},
                          .payload = absl::StrCat("{\"n\":", i, ",\"word\":\"w", i % 4, "\"}")});
        test::ModelPoint expected = test::Stored(schema_, points.back().vector);
        expected.payload = points.back().payload;
        expected.sequence = ++sequence;
        model_->points()[points.back().id] = std::move(expected);
      }
      ASSERT_TRUE((*live)->Upsert(points, Durability::kAsync).ok());
      const std::vector<PointId> gone = {PointId(uint64_t{round * 50})};
      ASSERT_TRUE((*live)->Delete(gone, Durability::kAsync).ok());
      sequence += model_->points().erase(gone[0]);
      if (round < 2) {
        ASSERT_TRUE((*live)->Seal().ok());
      }
    }
    ASSERT_TRUE((*live)->Close().ok());
    for (const auto& [name, bytes] : test::Snapshot(path_)) {
      if (!bytes.empty()) contents_.emplace_back(name, bytes);
    }
  }
  absl::StatusOr<std::unique_ptr<LiveCollection>> Open(const std::string& path) {
    LiveOptions options;
    options.env = env_.get();
    return LiveCollection::Open(files_, path, account_, options);
  }
  // What lies in the copy after `damaged` was put in the place of its file.
  void ExpectNoticedOrUnused(const std::string& name, const std::string& damaged) {
    const std::string copy = folder_.Path("copy");
    std::filesystem::remove_all(copy);
    std::filesystem::copy(path_, copy, std::filesystem::copy_options::recursive);
    test::WriteBytes(JoinPath(copy, name), damaged);
    const absl::Status verified = Verify(files_, copy, {});
    const auto opened = Open(copy);
    if (!opened.ok()) {
      ++refused_;
      EXPECT_FALSE(verified.ok()) << name << " opens not: " << opened.status();
      EXPECT_THAT(std::string(opened.status().message()), ::testing::HasSubstr(copy));
      return;
    }
    const auto version = (*opened)->Read();
    const absl::Status same = model_->Compare(*version);
    if (same.ok()) return;
    // Payloads are read when they are asked for.
    EXPECT_EQ(same.code(), absl::StatusCode::kDataLoss) << name << ": " << same;
    EXPECT_FALSE(verified.ok()) << name << ": " << same;
    ++refused_;
  }

  test::TestFolder folder_;
  test::QuickFiles files_;
  const std::unique_ptr<rocksdb::Env> env_ = test::MakeQuickEnv();
  const std::string path_ = folder_.Path("collection");
  Schema schema_;
  MemoryAccount account_{uint64_t{1} << 32};
  std::unique_ptr<test::Model> model_;
  std::vector<std::pair<std::string, std::string>> contents_;
  uint64_t refused_ = 0;
};

TEST_F(BitRot, IsNoticedOrInUnusedBytes) {
  constexpr size_t kSectorBytes = 512;
  const uint64_t flips = NumberFrom("MRL_FLIPS", 400);
  std::mt19937_64 random(NumberFrom("MRL_SEED", 1));
  for (uint64_t i = 0; i < flips && !HasFailure(); ++i) {
    // Every file is as likely as every other: most of the bytes are the segments'.
    const auto& [name, bytes] = contents_[random() % contents_.size()];
    std::string damaged = bytes;
    const size_t at = random() % damaged.size();
    if (i % 4 == 3) {
      const size_t begin = at / kSectorBytes * kSectorBytes;
      for (size_t j = begin; j < std::min(damaged.size(), begin + kSectorBytes); ++j)
        damaged[j] = 0;
    } else {
      damaged[at] ^= static_cast<char>(1 << (random() % 8));
    }
    SCOPED_TRACE(absl::StrCat(name, " at ", at, ", number ", i));
    ExpectNoticedOrUnused(name, damaged);
  }
  EXPECT_GT(refused_, flips / 4);
  std::printf("%llu flips, %llu of them refused\n", static_cast<unsigned long long>(flips),
              static_cast<unsigned long long>(refused_));
}

}  // namespace
}  // namespace mrl::collection
