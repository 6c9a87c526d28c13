// Snapshots: what is restored is what was there, whatever went on meanwhile; and archives that lie.
#include "index/collection/snapshot.h"

#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/checksum.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/collection/live_collection.h"
#include "index/format/snapshot.pb.h"
#include "tests/support/test_folder.h"
#include "tests/unit/live/model.h"

namespace mrl::collection {
namespace {

using test::Model;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Schema SmallSchema() {
  Schema schema;
  schema.dim = 8;
  schema.ladder = {4, 8};
  schema.codes = {{4, 8}};
  schema.fields = {{"n", FieldType::kInt}};
  return schema;
}

class Snapshots : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(LiveCollection::Create(files_, path_, schema_).ok());
    Open();
  }
  void Open() {
    live_.reset();
    LiveOptions options;
    options.seal_rows = 40;
    options.merge_fan_in = 2;
    auto opened = LiveCollection::Open(files_, path_, account_, options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    live_ = *std::move(opened);
  }
  // Writes `count` points from `first` on, and deletes every seventh of them.
  void Write(uint32_t first, uint32_t count) {
    std::vector<PointWrite> points;
    std::vector<PointId> gone;
    for (uint32_t i = first; i < first + count; ++i) {
      const PointWrite point = {.id = PointId(uint64_t{i}),
                                .vector = {1, 2, static_cast<float>(i), 4, 5, 6, 7, 8},
                                .payload = absl::StrCat("{\"n\":", i, "}")};
      points.push_back(point);
      if (i % 7 == 0) gone.push_back(point.id);
      test::ModelPoint expected = test::Stored(schema_, point.vector);
      expected.payload = point.payload;
      expected.sequence = ++sequence_;
      model_.points()[point.id] = std::move(expected);
    }
    ASSERT_TRUE(live_->Upsert(points, Durability::kAsync).ok());
    ASSERT_TRUE(live_->Delete(gone, Durability::kAsync).ok());
    for (const PointId& id : gone) sequence_ += model_.points().erase(id);
  }
  Snapshot Make(const std::string& name) {
    auto made = live_->MakeSnapshot(folder_.Path(name));
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *std::move(made) : Snapshot();
  }
  // What the snapshot at `name` restores to is `model`, sound, and takes writes.
  void ExpectRestores(const std::string& name, const Model& model, uint64_t sequence) {
    const std::string path = folder_.Path(absl::StrCat("restored-", ++restored_));
    const absl::Status restored = RestoreSnapshot(files_, folder_.Path(name), path);
    ASSERT_TRUE(restored.ok()) << restored;
    const absl::Status sound = Verify(files_, path, {});
    ASSERT_TRUE(sound.ok()) << sound;
    auto opened = LiveCollection::Open(files_, path, account_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_THAT((*opened)->removed_files(), IsEmpty());
    const auto version = (*opened)->Read();
    const absl::Status same = model.Compare(*version);
    EXPECT_TRUE(same.ok()) << same;
    EXPECT_EQ(version->sequence(), sequence);
    EXPECT_NE(version->uuid(), live_->Read()->uuid());
    const auto written = (*opened)->Upsert(
        {{.id = PointId("new"), .vector = std::vector<float>(8, 1)}}, Durability::kSync);
    ASSERT_TRUE(written.ok()) << written.status();
    EXPECT_EQ(written->sequence, sequence + 1);
    ASSERT_TRUE((*opened)->Seal().ok());
    ASSERT_TRUE((*opened)->Maintain().ok());
  }
  std::string Archive(const std::string& name) {
    const auto reader = ArchiveReader::Open(files_, folder_.Path(name));
    EXPECT_TRUE(reader.ok()) << reader.status();
    std::string bytes;
    while (true) {
      const auto piece = (*reader)->Next(1000);
      EXPECT_TRUE(piece.ok()) << piece.status();
      if (piece->empty()) return bytes;
      bytes += *piece;
    }
  }
  absl::Status Unpack(const std::string& bytes, const std::string& name, size_t piece = 777) {
    ArchiveWriter writer(files_, folder_.Path(name), uint64_t{1} << 30);
    for (size_t at = 0; at < bytes.size(); at += piece) {
      MRL_RETURN_IF_ERROR(writer.Append(absl::string_view(bytes).substr(at, piece)));
    }
    return writer.complete() ? absl::OkStatus() : absl::OutOfRangeError("it ends too early");
  }
  // The archive with another list.
  static std::string WithList(const std::string& archive,
                              const std::function<void(disk::Snapshot&)>& change) {
    uint64_t list_bytes = 0;
    std::memcpy(&list_bytes, archive.data() + 8, sizeof(list_bytes));
    disk::Snapshot list;
    EXPECT_TRUE(list.ParseFromString(archive.substr(24, list_bytes)));
    change(list);
    const std::string changed = list.SerializeAsString();
    const uint64_t numbers[] = {changed.size(), Checksum(changed.data(), changed.size())};
    return absl::StrCat("MRLSNAP1",
                        absl::string_view(reinterpret_cast<const char*>(numbers), sizeof(numbers)),
                        changed, absl::string_view(archive).substr(24 + list_bytes));
  }

  FileSystem& files_ = FileSystem::Posix();
  test::TestFolder folder_;
  const std::string path_ = folder_.Path("collection");
  const Schema schema_ = SmallSchema();
  MemoryAccount account_{uint64_t{1} << 32};
  std::unique_ptr<LiveCollection> live_;
  Model model_{schema_};
  uint64_t sequence_ = 0;
  int restored_ = 0;
};

TEST_F(Snapshots, HoldWhatWasThereThen) {
  Write(0, 30);
  const Model early = model_;
  const uint64_t early_sequence = sequence_;
  const Snapshot first = Make("first");
  EXPECT_EQ(first.sequence, early_sequence);
  EXPECT_EQ(first.rows, early.points().size());
  EXPECT_EQ(first.collection_uuid, live_->Read()->uuid());
  for (uint32_t i = 1; i < 6; ++i) {
    Write(i * 25, 50);
    ASSERT_TRUE(live_->Maintain().ok());
  }
  const Snapshot second = Make("second");
  EXPECT_EQ(second.sequence, sequence_);
  EXPECT_EQ(second.rows, model_.points().size());
  const Model late = model_;
  const uint64_t late_sequence = sequence_;
  // Nothing that comes later reaches into a snapshot, nor does the end of the collection.
  Write(0, 200);
  ASSERT_TRUE(live_->Seal().ok());
  ASSERT_TRUE(live_->Maintain().ok());
  ExpectRestores("first", early, early_sequence);
  ExpectRestores("second", late, late_sequence);
  ExpectRestores("second", late, late_sequence);
  EXPECT_TRUE(CheckSnapshot(files_, folder_.Path("second"), second).ok());
  EXPECT_EQ(*ReadSnapshot(files_, folder_.Path("second")), second);
  EXPECT_EQ(live_->MakeSnapshot(folder_.Path("first")).status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(ReadSnapshot(files_, folder_.Path("third")).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(Snapshots, OfAnEmptyCollectionRestore) {
  Make("empty");
  ExpectRestores("empty", model_, 0);
}

// One writer, one maintainer: every snapshot is some state between two writes.
TEST_F(Snapshots, AreTakenWhileEverythingGoesOn) {
  std::atomic<bool> done{false};
  std::thread maintainer([&] {
    while (!done) EXPECT_TRUE(live_->Maintain().ok());
  });
  std::vector<Snapshot> made;
  std::thread taker([&] {
    for (int i = 0; i < 6; ++i) made.push_back(Make(absl::StrCat("s", i)));
  });
  std::vector<std::pair<uint64_t, Model>> states = {{0, model_}};
  for (uint32_t i = 0; i < 60; ++i) {
    // One step each, so that a state is known for every sequence that a snapshot can have.
    const PointId id(uint64_t{i % 50});
    const PointWrite point = {.id = id, .vector = {1, 2, static_cast<float>(i), 4, 5, 6, 7, 8}};
    test::ModelPoint expected = test::Stored(schema_, point.vector);
    expected.sequence = ++sequence_;
    model_.points()[id] = std::move(expected);
    ASSERT_TRUE(live_->Upsert({point}, Durability::kSync).ok());
    states.emplace_back(sequence_, model_);
  }
  taker.join();
  done = true;
  maintainer.join();
  ASSERT_EQ(made.size(), 6u);
  for (size_t i = 0; i < made.size(); ++i) {
    ASSERT_LT(made[i].sequence, states.size());
    ExpectRestores(absl::StrCat("s", i), states[made[i].sequence].second, made[i].sequence);
  }
}

TEST_F(Snapshots, ThatAreDamagedAreNotRestored) {
  Write(0, 100);
  ASSERT_TRUE(live_->Seal().ok());
  const Snapshot snapshot = Make("s");
  for (const Snapshot::File& file : snapshot.files) {
    if (file.bytes == 0) continue;
    const std::string path = JoinPath(folder_.Path("s"), file.name);
    // A file of its own: the segment's bytes are the collection's too.
    const std::string bytes = test::ReadBytes(path);
    ASSERT_TRUE(files_.Remove(path).ok());
    test::WriteBytes(path, bytes);
    test::FlipByte(path, file.bytes / 2);
    const absl::Status refused = RestoreSnapshot(files_, folder_.Path("s"), folder_.Path("no"));
    EXPECT_EQ(refused.code(), absl::StatusCode::kDataLoss) << refused;
    EXPECT_THAT(std::string(refused.message()), HasSubstr(file.name));
    EXPECT_FALSE(files_.Exists(folder_.Path("no")));
    test::FlipByte(path, file.bytes / 2);
  }
  ExpectRestores("s", model_, sequence_);
  test::FlipByte(JoinPath(folder_.Path("s"), "SNAPSHOT"), 3);
  EXPECT_FALSE(RestoreSnapshot(files_, folder_.Path("s"), folder_.Path("no")).ok());
}

TEST_F(Snapshots, GoThroughAnArchive) {
  Write(0, 130);
  ASSERT_TRUE(live_->Maintain().ok());
  const Snapshot snapshot = Make("s");
  const std::string archive = Archive("s");
  ASSERT_TRUE(Unpack(archive, "copy").ok());
  EXPECT_EQ(*ReadSnapshot(files_, folder_.Path("copy")), snapshot);
  ASSERT_TRUE(Unpack(archive, "bytewise", 1).ok());
  ASSERT_TRUE(Unpack(archive, "whole", archive.size()).ok());
  ExpectRestores("copy", model_, sequence_);
}

TEST_F(Snapshots, OfHostileArchivesLeaveNothing) {
  Write(0, 60);
  Make("s");
  live_.reset();
  const std::string archive = Archive("s");
  const auto before = test::Snapshot(folder_.path());
  const auto expect_refused = [&](const std::string& bytes, absl::StatusCode code,
                                  const std::string& message) {
    const absl::Status refused = Unpack(bytes, "bad");
    EXPECT_EQ(refused.code(), code) << refused;
    EXPECT_THAT(std::string(refused.message()), HasSubstr(message));
    EXPECT_EQ(test::Snapshot(folder_.path()), before) << message;
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  for (const std::string name :
       {"../evil", "/etc/passwd", "db/../../evil", "db/", "segments/..", "segments/.hidden",
        "db/a/b", "other/file", "db/-rf", "segments/000001.seg\n", "SNAPSHOT"}) {
    expect_refused(
        WithList(archive, [&](disk::Snapshot& list) { list.mutable_files(0)->set_name(name); }),
        kInvalid, "is no file of a collection");
  }
  expect_refused(
      WithList(archive,
               [](disk::Snapshot& list) { list.mutable_files(1)->set_name(list.files(0).name()); }),
      kInvalid, "comes more than once");
  expect_refused(
      WithList(archive,
               [](disk::Snapshot& list) { list.mutable_files(0)->set_bytes(uint64_t{1} << 63); }),
      kInvalid, "its sizes are impossible");
  expect_refused(
      WithList(archive,
               [](disk::Snapshot& list) { list.mutable_files(0)->set_bytes(uint64_t{1} << 40); }),
      absl::StatusCode::kResourceExhausted, "1073741824 are allowed");
  expect_refused(WithList(archive,
                          [](disk::Snapshot& list) {
                            list.mutable_files(0)->set_bytes(list.files(0).bytes() + 1);
                          }),
                 absl::StatusCode::kOutOfRange, "it ends too early");
  expect_refused(WithList(archive,
                          [](disk::Snapshot& list) {
                            list.mutable_files(0)->set_checksum(list.files(0).checksum() + 1);
                          }),
                 kInvalid, "the checksum is not the list's");
  expect_refused(WithList(archive, [](disk::Snapshot& list) { list.clear_files(); }), kInvalid,
                 "is not a collection directory");
  expect_refused(WithList(archive, [](disk::Snapshot& list) { list.set_format_version(2); }),
                 absl::StatusCode::kFailedPrecondition, "use a newer one");
  expect_refused("PK\x03\x04 something else that is long", kInvalid, "do not begin as one");
  expect_refused(std::string("MRLSNAP1") + std::string(16, '\xff'), kInvalid, "the limit is");
  expect_refused(archive + "x", kInvalid, "1 bytes come behind its end");
  for (const size_t bytes : {size_t{5}, size_t{23}, size_t{30}, archive.size() - 1}) {
    expect_refused(archive.substr(0, bytes), absl::StatusCode::kOutOfRange, "it ends too early");
  }
}

// One bit anywhere in an archive is noticed.
TEST_F(Snapshots, OfDamagedArchivesLeaveNothing) {
  Write(0, 50);
  Make("s");
  const std::string archive = Archive("s");
  std::mt19937 random(8);
  for (int i = 0; i < 150; ++i) {
    std::string damaged = archive;
    damaged[random() % damaged.size()] ^= static_cast<char>(1 << (random() % 8));
    EXPECT_FALSE(Unpack(damaged, "bad", 1 << 20).ok());
    EXPECT_FALSE(files_.Exists(folder_.Path("bad")));
  }
}

}  // namespace
}  // namespace mrl::collection
