// A scripted life of a collection, with the power cut, or one operation failed, at every operation
// in turn. MRL_CUTS sets how many cuts, MRL_SEED what else is random: a failure prints what replays
// it.
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "index/collection/live_collection.h"
#include "tests/support/power_disk.h"
#include "tests/support/test_folder.h"
#include "tests/unit/live/model.h"

namespace mrl::collection {
namespace {

using test::Model;
using test::Stored;

uint64_t NumberFrom(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

Schema SmallSchema() {
  Schema schema;
  schema.dim = 4;
  schema.ladder = {2, 4};
  schema.codes = {{2, 8}};
  return schema;
}

// Runs the script and keeps the states that the collection went through.
class Script {
 public:
  Script(test::PowerDisk& disk, std::string path) : disk_(disk), path_(std::move(path)) {
    states_.emplace_back(schema_);
  }

  // Ends at the first write that fails.
  void Run() {
    if (!LiveCollection::Create(disk_.files(), path_, schema_, disk_.env()).ok()) return;
    created_ = true;
    if (!Open()) return;
    for (uint32_t round = 0; round < 3; ++round) {
      const uint32_t first = round * 8;
      if (!Put(first, first + 10, Durability::kSync)) return;
      if (!Put(first + 3, first + 6, Durability::kAsync)) return;
      if (!Remove(first, first + 2, Durability::kAsync)) return;
      // What fails behind the writes costs no acknowledged one.
      live_->Seal().IgnoreError();
      if (!Remove(first + 4, first + 6, Durability::kSync)) return;
      if (!Payload(first + 7)) return;
      live_->Maintain().IgnoreError();
      if (round == 1 && !Open()) return;
    }
    live_->Close().IgnoreError();
  }
  // The collection is closed, as far as it can be.
  void Leave() { live_.reset(); }

  // Whether what lies on the disk is a state that may be there.
  absl::Status Check() {
    MemoryAccount account(uint64_t{1} << 30);
    auto opened = LiveCollection::Open(FileSystem::Posix(), path_, account, {});
    if (!opened.ok()) {
      const bool unborn = !created_ && absl::IsNotFound(opened.status());
      return unborn ? absl::OkStatus() : opened.status();
    }
    absl::Status differs = absl::InternalError("no state was possible");
    for (size_t state = synced_; state < states_.size(); ++state) {
      differs = states_[state].Compare(*(*opened)->Read());
      if (differs.ok()) break;
    }
    if (!differs.ok()) return differs;
    // It is written to as before, and all of it is sound.
    std::vector<PointWrite> points = {{.id = PointId("after"), .vector = {1, 2, 3, 4}}};
    const absl::Status written = (*opened)->Upsert(points, Durability::kSync).status();
    if (!written.ok()) return written;
    const absl::Status closed = (*opened)->Close();
    return closed.ok() ? Verify(FileSystem::Posix(), path_, {}) : closed;
  }

 private:
  bool Open() {
    live_.reset();
    LiveOptions options;
    options.env = disk_.env();
    options.merge_fan_in = 2;
    auto opened = LiveCollection::Open(disk_.files(), path_, account_, options);
    if (opened.ok()) live_ = *std::move(opened);
    return opened.ok();
  }
  // After a write: `next` is the state that it asked for.
  bool Wrote(const absl::Status& status, Model next, Durability durability) {
    states_.push_back(std::move(next));
    if (status.ok() && durability == Durability::kSync) synced_ = states_.size() - 1;
    return status.ok();
  }
  bool Put(uint32_t begin, uint32_t end, Durability durability) {
    Model next = states_.back();
    std::vector<PointWrite> points;
    for (uint32_t i = begin; i < end; ++i) {
      const std::vector<float> vector = {1.0F + i, 2.0F * i, 3, static_cast<float>(++tick_)};
      points.push_back({.id = PointId(uint64_t{i}),
                        .vector = vector,
                        .payload = absl::StrCat("{\"t\":", tick_, "}")});
      test::ModelPoint& point = next.points()[points.back().id];
      point = Stored(schema_, vector);
      point.payload = points.back().payload;
      point.sequence = ++sequence_;
    }
    return Wrote(live_->Upsert(points, durability).status(), std::move(next), durability);
  }
  bool Remove(uint32_t begin, uint32_t end, Durability durability) {
    Model next = states_.back();
    std::vector<PointId> ids;
    for (uint32_t i = begin; i < end; ++i) {
      ids.emplace_back(uint64_t{i});
      sequence_ += next.points().erase(ids.back());
    }
    return Wrote(live_->Delete(ids, durability).status(), std::move(next), durability);
  }
  bool Payload(uint32_t id) {
    Model next = states_.back();
    test::ModelPoint& point = next.points()[PointId(uint64_t{id})];
    point.payload = "{\"new\":1}";
    point.sequence = ++sequence_;
    const auto written =
        live_->UpdatePayloads({{PointId(uint64_t{id}), point.payload}}, Durability::kSync);
    return Wrote(written.status(), std::move(next), Durability::kSync);
  }

  test::PowerDisk& disk_;
  const std::string path_;
  const Schema schema_ = SmallSchema();
  MemoryAccount account_{uint64_t{1} << 30};
  std::unique_ptr<LiveCollection> live_;
  bool created_ = false;
  uint32_t tick_ = 0;
  uint64_t sequence_ = 0;
  std::vector<Model> states_;
  size_t synced_ = 0;  // the first state that may be there
};

uint64_t OperationsOfALife() {
  test::TestFolder folder;
  test::PowerDisk disk;
  Script script(disk, folder.Path("c"));
  script.Run();
  script.Leave();
  const absl::Status sound = script.Check();
  EXPECT_TRUE(sound.ok()) << sound;
  return disk.operations();
}

TEST(LivePower, EveryCutLeavesWhatWasAcknowledged) {
  const uint64_t life = OperationsOfALife();
  ASSERT_GT(life, 200u);
  const uint64_t cuts = NumberFrom("MRL_CUTS", life);
  const uint64_t seed = NumberFrom("MRL_SEED", 1);
  for (uint64_t cut = 0; cut < cuts; ++cut) {
    SCOPED_TRACE(absl::StrCat("cut ", cut, " of a life of ", life, ", MRL_SEED=", seed));
    test::TestFolder folder;
    test::PowerDisk disk;
    disk.CutAt(1 + cut % life);
    Script script(disk, folder.Path("c"));
    script.Run();
    script.Leave();
    disk.LoseUnsynced(seed * 1'000'003 + cut);
    const absl::Status sound = script.Check();
    ASSERT_TRUE(sound.ok()) << sound;
  }
  RecordProperty("cuts", static_cast<int>(cuts));
}

TEST(LivePower, EveryFailedOperationCostsNothingElse) {
  const uint64_t life = OperationsOfALife();
  const uint64_t faults = NumberFrom("MRL_CUTS", life);
  for (uint64_t fault = 0; fault < faults; ++fault) {
    SCOPED_TRACE(absl::StrCat("fault ", fault, " of a life of ", life));
    test::TestFolder folder;
    test::PowerDisk disk;
    disk.FailAt(1 + fault % life);
    Script script(disk, folder.Path("c"));
    script.Run();
    script.Leave();
    const absl::Status sound = script.Check();
    ASSERT_TRUE(sound.ok()) << sound;
  }
}

}  // namespace
}  // namespace mrl::collection
