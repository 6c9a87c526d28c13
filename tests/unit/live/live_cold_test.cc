// A collection whose long levels stay on disk: it answers as one that holds them, through sealing,
// merging and opening again, and damage of what it has not read yet stays where it is.
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/collection/live_collection.h"
#include "index/funnel/plan.h"
#include "tests/support/quick_disk.h"
#include "tests/support/test_folder.h"

namespace mrl::collection {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::vector<float> VectorOf(uint32_t number) {
  std::vector<float> vector(8);
  for (uint32_t i = 0; i < 8; ++i) {
    vector[i] = static_cast<float>((number * 31 + i * number % 97 + i * 13) % 101) - 50;
  }
  return vector;
}

// One of two collections that get the same writes.
class Twin {
 public:
  Twin(test::QuickFiles& files, rocksdb::Env* env, std::string path, uint32_t hot_dims)
      : files_(files), path_(std::move(path)) {
    options_.env = env;
    options_.open.hot_dims = hot_dims;
    Schema schema;
    schema.dim = 8;
    schema.ladder = {2, 4, 8};
    schema.codes = {{4, 8}, {8, 1}};
    EXPECT_TRUE(LiveCollection::Create(files_, path_, schema, env).ok());
    Open();
  }
  void Open() {
    live_ = nullptr;
    auto opened = LiveCollection::Open(files_, path_, account_, options_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    live_ = *std::move(opened);
  }
  LiveCollection& live() { return *live_; }
  const std::string& path() const { return path_; }
  uint64_t memory() const { return account_.used_bytes(); }

  void Put(uint32_t begin, uint32_t end) {
    std::vector<PointWrite> points;
    for (uint32_t i = begin; i < end; ++i) {
      points.push_back({.id = PointId(uint64_t{i}), .vector = VectorOf(i)});
    }
    ASSERT_TRUE(live_->Upsert(std::move(points), Durability::kAsync).ok());
  }

  absl::StatusOr<funnel::Output> Run(const Collection& version, const std::string& text,
                                     uint32_t number) const {
    funnel::PlanInput input = version.plan_input();
    input.k = 7;
    input.exact = text == "exact";
    if (!input.exact) input.funnel = *funnel::ParseFunnel(text);
    const auto plan = funnel::MakePlan(input);
    EXPECT_TRUE(plan.ok()) << plan.status();
    return funnel::Run(version.view(), *plan, VectorOf(number), {});
  }
  // Ids and scores in text, to the bit.
  std::string Answer(const Collection& version, const std::string& text, uint32_t number) const {
    const auto output = Run(version, text, number);
    if (!output.ok()) return output.status().ToString();
    std::string answer;
    for (const funnel::Hit& hit : output->hits) {
      const store::Segment& segment = *version.view().parts[hit.at.part].segment;
      absl::StrAppend(&answer, segment.Id(hit.at.row).ToString(), " ",
                      absl::StrFormat("%a", hit.score), "\n");
    }
    return answer;
  }

 private:
  test::QuickFiles& files_;
  const std::string path_;
  MemoryAccount account_{uint64_t{1} << 30};
  LiveOptions options_;
  std::unique_ptr<LiveCollection> live_;
};

constexpr const char* kPlans[] = {"4b8:60,4:30,8:7", "8b1:80,8:7", "4:50,8:7", "8:7",
                                  "2:90,4:7",        "exact"};

class LiveCold : public ::testing::Test {
 protected:
  template <typename Change>
  void Both(const Change& change) {
    change(hot_);
    change(cold_);
    ExpectSame();
  }
  void ExpectSame() {
    const auto hot = hot_.live().Read();
    const auto cold = cold_.live().Read();
    for (const char* plan : kPlans) {
      for (uint32_t i = 0; i < 400; i += 57) {
        EXPECT_EQ(cold_.Answer(*cold, plan, i), hot_.Answer(*hot, plan, i)) << plan << " of " << i;
      }
    }
  }
  // Where the cold one's file has the level that it does not hold.
  std::pair<std::string, size_t> PlaceOfColdLevel() {
    const funnel::View& view = hot_.live().Read()->view();
    const auto* level = static_cast<const char*>(view.parts.front().segment->Level(2));
    for (const auto& file : std::filesystem::directory_iterator(cold_.path() + "/segments")) {
      const std::string path = file.path().string();
      const size_t at = test::ReadBytes(path).find(std::string(level, 64), 4096);
      if (at != std::string::npos) return {path, at};
    }
    ADD_FAILURE() << "no file has the level";
    return {};
  }

  test::TestFolder folder_;
  test::QuickFiles files_;
  const std::unique_ptr<rocksdb::Env> env_ = test::MakeQuickEnv();
  Twin hot_{files_, env_.get(), folder_.Path("hot"), 0};
  Twin cold_{files_, env_.get(), folder_.Path("cold"), 4};
};

TEST_F(LiveCold, AnswersAsAHotOneThroughSealsMergesAndReopening) {
  Both([](Twin& twin) { twin.Put(0, 200); });  // the tail is hot in any case
  Both([](Twin& twin) { EXPECT_TRUE(twin.live().Seal().ok()); });
  const auto& parts = cold_.live().Read()->view().parts;
  EXPECT_EQ(parts.front().segment->hot_levels(), 2u);
  Both([](Twin& twin) { twin.Put(150, 400); });
  Both([](Twin& twin) { EXPECT_TRUE(twin.live().Seal().ok()); });
  Both([](Twin& twin) {
    const auto rewritten = twin.live().UpdatePayloads(
        {{.id = PointId(uint64_t{5}), .payload = "{\"a\":1}"}}, Durability::kAsync);
    EXPECT_TRUE(rewritten.ok()) << rewritten.status();
  });
  Both([](Twin& twin) { EXPECT_EQ(*twin.live().Compact(), 400u); });
  EXPECT_EQ(cold_.live().Read()->view().parts.front().segment->hot_levels(), 2u);
  Both([](Twin& twin) {
    EXPECT_TRUE(twin.live().AddIndex({.kind = "faiss", .dims = 8, .factory = "Flat"}, {}).ok());
  });
  Both([](Twin& twin) { twin.Open(); });
  EXPECT_EQ(hot_.memory() - cold_.memory(), 400u * 4 * sizeof(float));
}

TEST_F(LiveCold, IsReadAsItIsWritten) {
  Both([](Twin& twin) {
    twin.Put(0, 300);
    EXPECT_TRUE(twin.live().Seal().ok() && twin.live().Close().ok());
  });
  MemoryAccount account(1 << 30);
  for (const uint32_t hot_dims : {1, 2, 4, 7, 8}) {
    const auto opened = Collection::Open(files_, cold_.path(), account, {.hot_dims = hot_dims});
    ASSERT_TRUE(opened.ok()) << opened.status();
    const auto hot = hot_.live().Read();
    for (const char* plan : kPlans) {
      EXPECT_EQ(cold_.Answer(**opened, plan, 9), hot_.Answer(*hot, plan, 9)) << plan;
    }
    const uint64_t held = hot_dims < 2 ? 0 : hot_dims < 4 ? 2 : hot_dims < 8 ? 4 : 8;
    EXPECT_EQ((*opened)->memory_bytes() - (*opened)->hot_bytes(), 300 * held * sizeof(float));
    EXPECT_EQ((*opened)->level_memory_bytes(2), held == 8 ? 300u * 4 * sizeof(float) : 0u);
  }
}

TEST_F(LiveCold, TracesWhatIsReadFromDisk) {
  Both([](Twin& twin) {
    twin.Put(0, 300);
    EXPECT_TRUE(twin.live().Seal().ok());
  });
  const auto cold = cold_.Run(*cold_.live().Read(), "4b8:60,4:30,8:7", 3);
  ASSERT_TRUE(cold.ok()) << cold.status();
  EXPECT_EQ(cold->trace.stages[1].cold_bytes, 0u);
  EXPECT_EQ(cold->trace.stages[2].cold_bytes, 30u * 4 * sizeof(float));
  const auto exact = cold_.Run(*cold_.live().Read(), "exact", 3);
  EXPECT_EQ(exact->trace.stages[0].cold_bytes, 300u * 4 * sizeof(float));
  const auto hot = hot_.Run(*hot_.live().Read(), "4b8:60,4:30,8:7", 3);
  EXPECT_EQ(hot->trace.stages[2].cold_bytes, 0u);
  EXPECT_EQ(hot->trace.stages[2].bytes, cold->trace.stages[2].bytes);
}

TEST_F(LiveCold, SaysDataLossWhereALevelIsDamaged) {
  Both([](Twin& twin) {
    twin.Put(0, 300);
    EXPECT_TRUE(twin.live().Seal().ok());
  });
  cold_.Open();  // nothing is read yet
  const auto [path, at] = PlaceOfColdLevel();
  test::FlipByte(path, at);
  const auto version = cold_.live().Read();
  for (const char* plan : {"4b8:60,8:7", "8b1:80,8:7", "8:7", "exact"}) {
    const absl::Status lost = cold_.Run(*version, plan, 3).status();
    EXPECT_EQ(lost.code(), absl::StatusCode::kDataLoss) << plan;
    EXPECT_THAT(lost.message(), AllOf(HasSubstr(".seg: level.2: page 0"),
                                      HasSubstr("the checksum does not match")));
  }
  // What does not need it goes on, writing too; what would copy it does not.
  EXPECT_EQ(cold_.Answer(*version, "4b8:60,4:7", 3),
            hot_.Answer(*hot_.live().Read(), "4b8:60,4:7", 3));
  const auto rewritten = cold_.live().UpdatePayloads(
      {{.id = PointId(uint64_t{5}), .payload = "{}"}}, Durability::kAsync);
  EXPECT_EQ(rewritten.status().code(), absl::StatusCode::kDataLoss);
  cold_.Put(1000, 1010);
  EXPECT_EQ(cold_.live().Compact().status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(cold_.live().Read()->rows(), 310u);
  test::FlipByte(path, at);  // as it was
  EXPECT_TRUE(cold_.live().Compact().ok());
  hot_.Put(1000, 1010);
  EXPECT_TRUE(hot_.live().Compact().ok());
  ExpectSame();
}

}  // namespace
}  // namespace mrl::collection
