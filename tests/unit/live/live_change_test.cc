// Changes of a whole collection while it is written to: other fields for filters, and one segment
// of many.
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
#include "index/filter/expression.h"
#include "index/funnel/filtered.h"
#include "tests/support/quick_disk.h"
#include "tests/support/test_folder.h"

namespace mrl::collection {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Does something else at the moment when a file is made whose name has `part`.
class HookedFiles final : public test::QuickFiles {
 public:
  std::string part;
  std::function<void()> hook = {};

  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override {
    if (hook && absl::StrContains(path, part)) std::exchange(hook, nullptr)();
    return QuickFiles::Create(path);
  }
};

class LiveChange : public ::testing::Test {
 protected:
  void SetUp() override {
    Schema schema;
    schema.dim = 4;
    schema.ladder = {2, 4};
    schema.codes = {{2, 8}};
    schema.fields = {{"n", FieldType::kInt}};
    options_.env = env_.get();
    options_.merge_fan_in = 100;  // nothing is merged that is not asked for
    ASSERT_TRUE(LiveCollection::Create(files_, path_, schema, env_.get()).ok());
    Open();
    // Two segments and a tail; of each the first point is deleted.
    for (uint64_t first : {0, 100, 200}) {
      Put(first, first + 100);
      Remove(first);
      if (first < 200) {
        ASSERT_TRUE(live_->Seal().ok());
      }
    }
  }
  void Open() {
    live_.reset();
    auto opened = LiveCollection::Open(files_, path_, account_, options_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    live_ = *std::move(opened);
    EXPECT_THAT(live_->removed_files(), IsEmpty());
  }
  void Put(uint64_t begin, uint64_t end, const std::string& payload = "") {
    std::vector<PointWrite> points;
    for (uint64_t id = begin; id < end; ++id) {
      const std::string own = absl::StrCat("{\"n\":", id, ",\"word\":\"w", id % 10, "\"}");
      points.push_back({.id = PointId(id),
                        .vector = {1, 2, static_cast<float>(id), 4},
                        .payload = payload.empty() ? own : payload});
    }
    const auto written = live_->Upsert(points, Durability::kAsync);
    ASSERT_TRUE(written.ok()) << written.status();
  }
  void Remove(uint64_t id) {
    const std::vector<PointId> ids = {PointId(id)};
    ASSERT_TRUE(live_->Delete(ids, Durability::kAsync).ok());
  }
  // Points that match, or -1 where the filter is refused.
  int64_t Count(const std::string& text) const {
    const auto version = live_->Read();
    const auto filter =
        filter::Filter::Make(*filter::ParseExpression(text), version->schema().fields);
    if (!filter.ok()) return -1;
    return static_cast<int64_t>(funnel::Narrow(version->view(), *filter).rows());
  }
  size_t Parts() const { return live_->Read()->view().parts.size(); }

  const std::vector<Field> words_ = {{"word", FieldType::kKeyword}};
  test::TestFolder folder_;
  const std::string path_ = folder_.Path("collection");
  HookedFiles files_;
  const std::unique_ptr<rocksdb::Env> env_ = test::MakeQuickEnv();
  MemoryAccount account_{uint64_t{1} << 30};
  LiveOptions options_;
  std::unique_ptr<LiveCollection> live_;
};

TEST_F(LiveChange, OfFieldsIsThereForSegmentsTailAndWhatComes) {
  EXPECT_EQ(Count("n < 150"), 148);
  EXPECT_EQ(Count("word = \"w3\""), -1);
  const auto before = live_->Read();
  std::vector<std::pair<uint64_t, uint64_t>> heard;
  const Watch watch = {.progress = [&](uint64_t done, uint64_t all) {
    heard.push_back({done, all});
  }};
  ASSERT_TRUE(live_->SetFields(words_, watch).ok());
  EXPECT_EQ(heard.back(), (std::pair<uint64_t, uint64_t>{198, 198}));
  EXPECT_EQ(Count("word = \"w3\""), 30);
  EXPECT_EQ(Count("n < 150"), -1);
  EXPECT_THAT(live_->Read()->schema().fields, ElementsAre(words_[0]));
  EXPECT_THAT(before->schema().fields, ElementsAre(Field{"n", FieldType::kInt}));
  Put(300, 310);
  EXPECT_EQ(Count("word = \"w3\""), 31);
  ASSERT_TRUE(live_->Seal().ok());
  EXPECT_EQ(Count("word = \"w3\""), 31);
  Open();
  EXPECT_EQ(Count("word = \"w3\""), 31);
  ASSERT_TRUE(live_->SetFields({}).ok());
  EXPECT_EQ(Count("word = \"w3\""), -1);
  ASSERT_TRUE(live_->SetFields(words_).ok());
  ASSERT_TRUE(live_->Close().ok());
  const absl::Status sound = Verify(files_, path_, {});
  EXPECT_TRUE(sound.ok()) << sound;
  Open();
  EXPECT_EQ(Count("word = \"w3\""), 31);
}

TEST_F(LiveChange, OfFieldsTakesWritesThatComeMeanwhile) {
  files_.part = "filter-";
  files_.hook = [&] {
    Put(400, 450);
    Remove(101);
    ASSERT_TRUE(live_->Seal().ok());
    Put(450, 460);
  };
  ASSERT_TRUE(live_->SetFields(words_).ok());
  EXPECT_FALSE(files_.hook);
  EXPECT_EQ(Count("word = \"w1\""), 29 + 6);
  EXPECT_EQ(Count("word = \"w0\""), 27 + 6);
  Open();
  EXPECT_EQ(Count("word = \"w1\""), 29 + 6);
}

TEST_F(LiveChange, OfFieldsThatDoNotFitChangesNothing) {
  Put(500, 501, "{\"n\":1,\"word\":7}");
  const absl::Status refused = live_->SetFields(words_);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("point '500'"));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("word"));
  ASSERT_TRUE(live_->Seal().ok());
  EXPECT_THAT(std::string(live_->SetFields(words_).message()), HasSubstr("point '500'"));
  EXPECT_EQ(Count("n < 150"), 149);
  // What was deleted need not fit.
  Remove(500);
  ASSERT_TRUE(live_->SetFields(words_).ok());
  EXPECT_EQ(live_->SetFields({{"a b", FieldType::kInt}}).code(),
            absl::StatusCode::kInvalidArgument);
  const auto written = live_->Upsert(
      {{.id = PointId(uint64_t{1}), .vector = {1, 2, 3, 4}, .payload = "{\"word\":7}"}},
      Durability::kAsync);
  EXPECT_EQ(written.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(LiveChange, OfFieldsThatIsStoppedLeavesNothing) {
  const absl::Status stopped = live_->SetFields(words_, {.stopped = [] { return true; }});
  EXPECT_EQ(stopped.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(Count("n < 150"), 148);
  Open();  // which says that no file is left
}

TEST_F(LiveChange, OfFieldsRefusesAFilterOfBefore) {
  const auto filter =
      filter::Filter::Make(*filter::ParseExpression("n < 150"), live_->Read()->schema().fields);
  ASSERT_TRUE(live_->SetFields(words_).ok());
  EXPECT_EQ(live_->DeleteMatching(*filter, Durability::kAsync).status().code(),
            absl::StatusCode::kAborted);
  EXPECT_EQ(live_->Read()->rows(), 297u);
}

TEST_F(LiveChange, ToOneSegmentDropsWhatWasDeleted) {
  ASSERT_EQ(Parts(), 3u);
  std::vector<std::pair<uint64_t, uint64_t>> heard;
  const auto written = live_->Compact({.progress = [&](uint64_t done, uint64_t all) {
    heard.push_back({done, all});
  }});
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(*written, 297u);
  EXPECT_EQ(heard.back(), (std::pair<uint64_t, uint64_t>{297, 297}));
  EXPECT_EQ(Parts(), 1u);
  EXPECT_EQ(live_->tail_rows(), 0u);
  EXPECT_EQ(live_->Read()->rows(), 297u);
  EXPECT_EQ(live_->Read()->view().parts[0].segment->rows(), 297u);
  EXPECT_EQ(Count("n < 150"), 148);
  const auto again = live_->Compact();
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again, 0u);
  Open();
  EXPECT_EQ(Count("n < 150"), 148);
}

TEST_F(LiveChange, ToFewSegmentsKeepsToTheirLargestSize) {
  options_.segment_rows_max = 250;
  Open();
  ASSERT_TRUE(live_->Compact().ok());
  EXPECT_EQ(Parts(), 2u);
  EXPECT_EQ(live_->Read()->rows(), 297u);
}

TEST_F(LiveChange, ToOneSegmentMayBeStoppedAndBegunAgain) {
  const auto stopped = live_->Compact({.stopped = [] { return true; }});
  EXPECT_EQ(stopped.status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(live_->Read()->rows(), 297u);
  Open();  // no file is left
  const auto written = live_->Compact();
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(Parts(), 1u);
}

TEST_F(LiveChange, ToOneSegmentTakesWritesThatComeMeanwhile) {
  ASSERT_TRUE(live_->Seal().ok());
  files_.part = ".seg";
  files_.hook = [&] {
    Remove(150);
    Put(50, 51, "{\"n\":7777,\"word\":\"new\"}");
  };
  ASSERT_TRUE(live_->Compact().ok());
  EXPECT_FALSE(files_.hook);
  EXPECT_EQ(live_->Read()->rows(), 296u);
  EXPECT_EQ(Count("n = 7777"), 1);
  EXPECT_EQ(Count("n = 50 OR n = 150"), 0);
  Open();
  EXPECT_EQ(live_->Read()->rows(), 296u);
  EXPECT_EQ(Count("n = 50 OR n = 150"), 0);
}

}  // namespace
}  // namespace mrl::collection
