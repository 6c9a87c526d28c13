// A disk with little room, and one with none.
#include <sys/mount.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/collection/live_collection.h"
#include "tests/support/test_folder.h"

namespace mrl::collection {
namespace {

using ::testing::HasSubstr;

Schema SmallSchema() {
  Schema schema;
  schema.dim = 4;
  schema.ladder = {2, 4};
  return schema;
}

absl::StatusOr<WriteResult> Put(LiveCollection& live, uint64_t id, size_t payload_bytes = 0) {
  std::string payload;
  // Bytes that no compression makes smaller are not needed: what is stored is not compressed.
  if (payload_bytes > 0)
    payload = absl::StrCat("{\"x\":\"", std::string(payload_bytes, 'x'), "\"}");
  return live.Upsert({{.id = PointId(id), .vector = {1, 2, 3, 4}, .payload = payload}},
                     Durability::kSync);
}

absl::StatusOr<WriteResult> Remove(LiveCollection& live, uint64_t id) {
  const std::vector<PointId> ids = {PointId(id)};
  return live.Delete(ids, Durability::kSync);
}

TEST(DiskReserveOf, WritesIsKept) {
  test::TestFolder folder;
  MemoryAccount account(uint64_t{1} << 30);
  FileSystem& files = FileSystem::Posix();
  const std::string path = folder.Path("c");
  ASSERT_TRUE(LiveCollection::Create(files, path, SmallSchema()).ok());
  uint64_t left = 1000;
  LiveOptions options;
  options.merge_fan_in = 2;
  options.disk.bytes = 1000;
  options.disk.free_bytes = [&](const std::string&) { return left; };
  auto live = *LiveCollection::Open(files, path, account, options);
  ASSERT_TRUE(Put(*live, 1).ok());
  ASSERT_TRUE(Put(*live, 2).ok());
  ASSERT_TRUE(live->Seal().ok());
  left = 999;
  const absl::Status refused = Put(*live, 3).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("the disk has 999 bytes left, and the reserve is 1000"));
  EXPECT_EQ(live->UpdatePayloads({{PointId(uint64_t{1}), "{}"}}, Durability::kSync).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(live->Read()->rows(), 2u);
  EXPECT_TRUE(Remove(*live, 1).ok());
  EXPECT_EQ(live->Read()->rows(), 1u);
  left = 1000;
  ASSERT_TRUE(Put(*live, 3).ok());
  ASSERT_TRUE(live->Seal().ok());
  // A merge that would need the reserve waits for room.
  ASSERT_TRUE(live->Maintain().ok());
  EXPECT_EQ(live->Read()->view().parts.size(), 2u);
  left = uint64_t{1} << 30;
  ASSERT_TRUE(live->Maintain().ok());
  EXPECT_EQ(live->Read()->view().parts.size(), 1u);
  EXPECT_EQ(live->Read()->rows(), 2u);
}

// A small disk of its own, where the process may mount one.
class SmallDisk : public ::testing::Test {
 protected:
  static constexpr uint64_t kBytes = 64 << 20;

  void SetUp() override {
    path_ = folder_.Path("disk");
    std::filesystem::create_directory(path_);
    const std::string size = absl::StrCat("size=", kBytes);
    if (mount("tmpfs", path_.c_str(), "tmpfs", 0, size.c_str()) != 0) {
      GTEST_SKIP() << "a tmpfs cannot be mounted here: " << std::strerror(errno);
    }
    mounted_ = true;
    ASSERT_TRUE(LiveCollection::Create(files_, Path(), SmallSchema()).ok());
  }
  void TearDown() override {
    live_.reset();
    if (mounted_) {
      EXPECT_EQ(umount(path_.c_str()), 0) << std::strerror(errno);
    }
  }
  std::string Path() const { return JoinPath(path_, "c"); }
  void Open(const LiveOptions& options) {
    live_.reset();
    auto opened = LiveCollection::Open(files_, Path(), account_, options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    live_ = *std::move(opened);
  }
  // Writes until it is refused; how many were acknowledged.
  uint64_t Fill() {
    for (uint64_t id = 0; id < 2000; ++id) {
      const absl::Status written = Put(*live_, id, 50'000).status();
      if (written.ok()) continue;
      EXPECT_EQ(written.code(), absl::StatusCode::kResourceExhausted) << written;
      return id;
    }
    ADD_FAILURE() << "the disk does not fill";
    return 0;
  }

  test::TestFolder folder_;
  std::string path_;
  bool mounted_ = false;
  FileSystem& files_ = FileSystem::Posix();
  MemoryAccount account_{uint64_t{1} << 32};
  std::unique_ptr<LiveCollection> live_;
};

TEST_F(SmallDisk, KeepsItsReserveForDeletions) {
  LiveOptions options;
  // RocksDB needs room of its own to write a full buffer out beside its log.
  options.disk.bytes = 40 << 20;
  Open(options);
  const uint64_t written = Fill();
  EXPECT_GT(written, 50u);
  EXPECT_EQ(live_->Read()->rows(), written);
  for (uint64_t id = 0; id < written; ++id) ASSERT_TRUE(Remove(*live_, id).ok()) << id;
  EXPECT_EQ(live_->Read()->rows(), 0u);
  ASSERT_TRUE(live_->Seal().ok());
  ASSERT_TRUE(live_->Close().ok());
  Open(options);
  EXPECT_EQ(live_->Read()->rows(), 0u);
  EXPECT_TRUE(Put(*live_, 1, 50'000).ok());
}

TEST_F(SmallDisk, ThatIsFullTakesDeletionsOnceThereIsRoom) {
  const std::string ballast = JoinPath(path_, "ballast");
  test::WriteBytes(ballast, std::string(16 << 20, 'b'));
  LiveOptions options;
  options.disk.on_full = [&] { std::filesystem::remove(ballast); };
  Open(options);
  constexpr uint64_t kWritten = 20;
  for (uint64_t id = 0; id < kWritten; ++id) ASSERT_TRUE(Put(*live_, id, 50'000).ok());
  // Somebody else takes the rest of the disk.
  std::ofstream filler(JoinPath(path_, "filler"), std::ios::binary);
  const std::string piece(64 << 10, 'f');
  while (filler.write(piece.data(), static_cast<std::streamsize>(piece.size())).flush()) {
  }
  filler.close();
  absl::Status refused;
  for (uint64_t id = kWritten; refused.ok() && id < 200; ++id) {
    refused = Put(*live_, id, 50'000).status();
  }
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted) << refused;
  EXPECT_GE(live_->Read()->rows(), kWritten);
  for (uint64_t id = 0; id < kWritten; ++id) {
    const absl::StatusOr<WriteResult> removed = Remove(*live_, id);
    ASSERT_TRUE(removed.ok()) << id << ": " << removed.status();
  }
  EXPECT_FALSE(files_.Exists(ballast));
  ASSERT_TRUE(Put(*live_, 5000).ok());
  ASSERT_TRUE(live_->Close().ok());
  Open(options);
  for (uint64_t id = 0; id < kWritten; ++id) {
    EXPECT_FALSE(funnel::Find(live_->Read()->view(), PointId(id)).has_value()) << id;
  }
  EXPECT_TRUE(funnel::Find(live_->Read()->view(), PointId(uint64_t{5000})).has_value());
  ASSERT_TRUE(live_->Close().ok());
  const absl::Status sound = Verify(files_, Path(), {});
  EXPECT_TRUE(sound.ok()) << sound;
}

}  // namespace
}  // namespace mrl::collection
