// A scripted life of a collection, with the power cut, or one operation failed, at every operation
// in turn: EIO, a full disk, a short write. MRL_CUTS sets how many cuts, MRL_SEED what else is
// random: a failure prints what replays it.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/collection/live_collection.h"
#include "tests/support/power_disk.h"
#include "tests/support/quick_disk.h"
#include "tests/support/test_folder.h"
#include "tests/unit/live/model.h"

namespace mrl::collection {
namespace {

using test::Model;
using test::Stored;

// Together 3,000, which take three minutes; fewer where a sanitizer makes each take longer.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kCuts = 480;
constexpr uint64_t kFaults = 120;
#else
constexpr uint64_t kCuts = 2400;
constexpr uint64_t kFaults = 600;
#endif

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
      if (round == 1) Keep();
      if (round == 1 && !Open()) return;
    }
    live_->Close().IgnoreError();
  }
  // The collection is closed, as far as it can be.
  void Leave() { live_.reset(); }

  // Whether what lies on the disk is a state that may be there.
  absl::Status Check() {
    MemoryAccount account(uint64_t{1} << 30);
    LiveOptions options;
    options.env = quick_env_.get();
    auto opened = LiveCollection::Open(quick_, path_, account, options);
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
    if (!closed.ok()) return closed;
    const absl::Status sound = Verify(quick_, path_, {});
    return sound.ok() ? CheckSnapshot() : sound;
  }

 private:
  // A snapshot that was acknowledged restores to the state that it was taken of.
  void Keep() {
    if (!live_->MakeSnapshot(snapshot_path_).ok()) return;
    kept_ = std::make_unique<Model>(states_.back());
  }
  absl::Status CheckSnapshot() {
    if (kept_ == nullptr) return absl::OkStatus();
    const std::string restored = absl::StrCat(path_, "-restored");
    const absl::Status made = RestoreSnapshot(quick_, snapshot_path_, restored, quick_env_.get());
    if (!made.ok()) return made;
    MemoryAccount account(uint64_t{1} << 30);
    const auto opened = Collection::Open(quick_, restored, account);
    return opened.ok() ? kept_->Compare(**opened) : opened.status();
  }
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
  test::QuickFiles quick_;
  const std::unique_ptr<rocksdb::Env> quick_env_ = test::MakeQuickEnv();
  const std::string path_;
  const std::string snapshot_path_ = absl::StrCat(path_, "-snapshot");
  const Schema schema_ = SmallSchema();
  MemoryAccount account_{uint64_t{1} << 30};
  std::unique_ptr<LiveCollection> live_;
  bool created_ = false;
  uint32_t tick_ = 0;
  uint64_t sequence_ = 0;
  std::vector<Model> states_;
  std::unique_ptr<Model> kept_;  // what the snapshot is of; null until it was acknowledged
  size_t synced_ = 0;            // the first state that may be there
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

// Lives `count` lives, many at a time: after an error RocksDB sleeps for a second in a thread of
// its pool. `live` says what is wrong with one of them.
void LiveMany(uint64_t count, const std::function<absl::Status(uint64_t)>& live) {
  constexpr int kAtATime = 16;
  for (const auto pool : {rocksdb::Env::HIGH, rocksdb::Env::LOW}) {
    rocksdb::Env::Default()->SetBackgroundThreads(kAtATime, pool);
  }
  std::atomic<uint64_t> next = 0;
  absl::Mutex mutex;
  std::vector<std::string> wrong;
  std::vector<std::thread> threads;
  for (int i = 0; i < kAtATime; ++i) {
    threads.emplace_back([&] {
      for (uint64_t one = next++; one < count; one = next++) {
        const absl::Status sound = live(one);
        if (sound.ok()) continue;
        absl::MutexLock lock(&mutex);
        wrong.push_back(absl::StrCat("number ", one, ": ", sound.ToString()));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, ::testing::IsEmpty());
}

TEST(LivePower, EveryCutLeavesWhatWasAcknowledged) {
  const uint64_t life = OperationsOfALife();
  ASSERT_GT(life, 200u);
  const uint64_t cuts = NumberFrom("MRL_CUTS", std::max(2 * life, kCuts));
  const uint64_t seed = NumberFrom("MRL_SEED", 1);
  SCOPED_TRACE(absl::StrCat("a life has ", life, " operations, MRL_SEED=", seed));
  LiveMany(cuts, [&](uint64_t cut) {
    test::TestFolder folder;
    test::PowerDisk disk;
    disk.CutAt(1 + cut % life);
    Script script(disk, folder.Path("c"));
    script.Run();
    script.Leave();
    disk.LoseUnsynced(seed * 1'000'003 + cut);
    return script.Check();
  });
  std::printf("%llu cuts of a life of %llu operations\n", static_cast<unsigned long long>(cuts),
              static_cast<unsigned long long>(life));
}

TEST(LivePower, EveryFailedOperationCostsNothingElse) {
  const uint64_t life = OperationsOfALife();
  const uint64_t faults = NumberFrom("MRL_CUTS", std::max(life, kFaults));
  SCOPED_TRACE(absl::StrCat("a life has ", life, " operations"));
  LiveMany(faults, [&](uint64_t fault) {
    test::TestFolder folder;
    test::PowerDisk disk;
    // Each operation fails in another way, and once it has failed in all of them in the first
    // again.
    disk.FailAt(1 + fault % life, static_cast<test::PowerDisk::Fault>((fault + fault / life) % 3));
    Script script(disk, folder.Path("c"));
    script.Run();
    script.Leave();
    return script.Check();
  });
  std::printf("%llu faults in a life of %llu operations\n", static_cast<unsigned long long>(faults),
              static_cast<unsigned long long>(life));
}

}  // namespace
}  // namespace mrl::collection
