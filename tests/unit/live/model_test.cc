// Random operations against the model. MRL_MODEL_OPERATIONS sets how many, MRL_SEED where they
// begin: a failure prints the seed that replays it.
#include "tests/unit/live/model.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "index/collection/live_collection.h"
#include "tests/support/quick_disk.h"
#include "tests/support/test_folder.h"
#include "tests/unit/live/filters.h"

namespace mrl::collection {
namespace {

using test::Model;
using test::ModelPoint;
using test::Stored;

constexpr uint32_t kIds = 300;
constexpr uint64_t kLifeOperations = 2500;

uint64_t NumberFrom(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// One collection from its creation on.
class Life {
 public:
  explicit Life(uint64_t seed) : random_(seed), schema_(MakeSchema()), model_(schema_) {
    options_.env = env_.get();
    options_.seal_rows = 20 + Below(60);
    options_.segment_rows_max = 400 + Below(1000);
    options_.merge_fan_in = 2 + Below(3);
  }

  void Begin() {
    const absl::Status made = LiveCollection::Create(files_, Path(), schema_, env_.get());
    ASSERT_TRUE(made.ok()) << made;
    Open();
  }
  // One operation and the look at what it touched.
  void Step();
  void End() {
    Reopen();
    live_.reset();  // a writer replaces tables while they are verified
    const absl::Status verified = Verify(files_, Path(), {});
    EXPECT_TRUE(verified.ok()) << verified;
  }

 private:
  Schema MakeSchema() {
    Schema schema;
    schema.dim = 8;
    schema.ladder = {2, 4, 8};
    schema.metric = static_cast<Metric>(1 + Below(3));
    schema.storage = static_cast<StorageType>(1 + Below(4));
    schema.transform = Below(4) == 0 ? Transform::kLayerNorm : Transform::kNone;
    if (Below(2) == 0) schema.codes = {{4, 8}};
    if (Below(3) > 0) schema.fields = test::ModelFields();
    return schema;
  }
  std::string Path() const { return folder_.Path("collection"); }
  uint32_t Below(uint32_t limit) { return static_cast<uint32_t>(random_() % limit); }
  PointId RandomId() {
    const uint32_t number = Below(kIds);
    return number % 3 == 0 ? PointId(absl::StrCat("text-", number)) : PointId(uint64_t{number});
  }
  std::vector<float> RandomVector() {
    std::vector<float> vector(schema_.dim);
    for (float& value : vector) value = static_cast<float>(random_() % 2001) / 1000 - 1.0F;
    vector[0] += 2;  // never a zero prefix
    return vector;
  }
  std::string RandomPayload() { return test::RandomPayload(random_); }
  Durability RandomDurability() { return Below(20) == 0 ? Durability::kSync : Durability::kAsync; }

  void Open() {
    auto opened = LiveCollection::Open(files_, Path(), account_, options_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    live_ = *std::move(opened);
    EXPECT_TRUE(live_->removed_files().empty()) << live_->removed_files()[0];
    CompareAll();
  }
  void CompareAll() {
    const auto version = live_->Read();
    const absl::Status same = model_.Compare(*version);
    ASSERT_TRUE(same.ok()) << same;
    EXPECT_EQ(version->sequence(), sequence_);
  }
  void Reopen() {
    const absl::Status closed = live_->Close();
    ASSERT_TRUE(closed.ok()) << closed;
    live_.reset();
    Open();
  }
  // As a process that was killed leaves it: the log holds what no flush wrote.
  void ReopenWithoutFlush() {
    auto readable = Collection::Open(files_, Path(), account_);
    ASSERT_TRUE(readable.ok()) << readable.status();
    const absl::Status same = model_.Compare(**readable);
    EXPECT_TRUE(same.ok()) << same;
  }

  void Upsert();
  void UpsertIf();
  void Delete();
  void UpdatePayload();
  void RefuseBadVector();
  void RefuseBadPayload();
  void Search();
  void SearchFiltered();
  void DeleteMatching();
  filter::Expression RandomFilter();
  void KeepVersion();
  void CheckKeptVersion();
  void ChangeFields();
  void Compact();
  void Restore();

  test::TestFolder folder_;
  test::QuickFiles files_;
  const std::unique_ptr<rocksdb::Env> env_ = test::MakeQuickEnv();
  std::mt19937_64 random_;
  Schema schema_;  // only its fields change
  LiveOptions options_;
  MemoryAccount account_{uint64_t{1} << 34};
  std::unique_ptr<LiveCollection> live_;
  Model model_;
  uint64_t sequence_ = 0;
  std::deque<std::pair<std::shared_ptr<const Collection>, std::shared_ptr<Model>>> kept_;
};

void Life::Upsert() {
  std::vector<PointWrite> points;
  std::vector<ModelPoint> expected;
  const uint32_t count = 1 + Below(Below(4) == 0 ? 60 : 4);
  for (uint32_t i = 0; i < count; ++i) {
    points.push_back({.id = RandomId(), .vector = RandomVector(), .payload = RandomPayload()});
    expected.push_back(Stored(schema_, points.back().vector));
    expected.back().payload = points.back().payload;
  }
  uint64_t next = sequence_ + 1;
  for (uint32_t i = 0; i < count; ++i) {
    const bool is_last = std::none_of(points.begin() + i + 1, points.end(),
                                      [&](const auto& later) { return later.id == points[i].id; });
    if (!is_last) continue;
    expected[i].sequence = next++;
    model_.points()[points[i].id] = expected[i];
  }
  const auto written = live_->Upsert(points, RandomDurability());
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(written->rows, next - 1 - sequence_);
  sequence_ = next - 1;
  EXPECT_EQ(written->sequence, sequence_);
  const absl::Status same = model_.CompareId(*live_->Read(), points[0].id);
  EXPECT_TRUE(same.ok()) << same;
}

void Life::UpsertIf() {
  const PointId id = RandomId();
  const auto found = model_.points().find(id);
  PointWrite point = {.id = id, .vector = RandomVector(), .payload = RandomPayload()};
  ModelPoint expected = Stored(schema_, point.vector);
  expected.payload = point.payload;
  const bool if_absent = Below(2) == 0;
  point.condition =
      if_absent ? PointWrite::Condition::kIfAbsent : PointWrite::Condition::kIfSequence;
  if (found != model_.points().end()) point.sequence = found->second.sequence + Below(2);
  const bool holds =
      if_absent ? found == model_.points().end()
                : found != model_.points().end() && point.sequence == found->second.sequence;
  const auto written = live_->Upsert({point}, RandomDurability());
  ASSERT_EQ(written.ok(), holds) << written.status();
  if (holds) {
    expected.sequence = ++sequence_;
    model_.points()[id] = expected;
  } else {
    EXPECT_EQ(written.status().code(),
              if_absent ? absl::StatusCode::kAlreadyExists : absl::StatusCode::kAborted);
  }
  const absl::Status same = model_.CompareId(*live_->Read(), id);
  EXPECT_TRUE(same.ok()) << same;
}

void Life::Delete() {
  std::vector<PointId> ids;
  const uint32_t count = 1 + Below(Below(6) == 0 ? 100 : 3);
  for (uint32_t i = 0; i < count; ++i) ids.push_back(RandomId());
  uint64_t gone = 0;
  for (const PointId& id : ids) gone += model_.points().erase(id);
  const auto deleted = live_->Delete(ids, RandomDurability());
  ASSERT_TRUE(deleted.ok()) << deleted.status();
  EXPECT_EQ(deleted->rows, gone);
  sequence_ += gone;
  EXPECT_EQ(deleted->sequence, sequence_);
  const absl::Status same = model_.CompareId(*live_->Read(), ids[0]);
  EXPECT_TRUE(same.ok()) << same;
}

void Life::UpdatePayload() {
  const PointId id = RandomId();
  const std::string payload = RandomPayload();
  const auto found = model_.points().find(id);
  const auto written = live_->UpdatePayloads({{id, payload}}, RandomDurability());
  if (found == model_.points().end()) {
    EXPECT_EQ(written.status().code(), absl::StatusCode::kNotFound);
    return;
  }
  ASSERT_TRUE(written.ok()) << written.status();
  found->second.payload = payload;
  found->second.sequence = ++sequence_;
  const absl::Status same = model_.CompareId(*live_->Read(), id);
  EXPECT_TRUE(same.ok()) << same;
}

void Life::RefuseBadVector() {
  std::vector<PointWrite> points = {{.id = RandomId(), .vector = RandomVector()},
                                    {.id = RandomId(), .vector = RandomVector()}};
  points[1].vector[3] = std::numeric_limits<float>::quiet_NaN();
  const auto written = live_->Upsert(points, Durability::kAsync);
  EXPECT_EQ(written.status().code(), absl::StatusCode::kInvalidArgument);
  const absl::Status same = model_.CompareId(*live_->Read(), points[0].id);
  EXPECT_TRUE(same.ok()) << same;
}

void Life::RefuseBadPayload() {
  if (schema_.fields.empty()) return;
  const PointId id = RandomId();
  const std::string bad = R"({"n": "three"})";
  const auto written =
      live_->Upsert({{.id = id, .vector = RandomVector(), .payload = bad}}, Durability::kAsync);
  EXPECT_EQ(written.status().code(), absl::StatusCode::kInvalidArgument);
  const auto updated = live_->UpdatePayloads({{id, bad}}, Durability::kAsync);
  EXPECT_EQ(updated.status().code(), model_.points().count(id) > 0
                                         ? absl::StatusCode::kInvalidArgument
                                         : absl::StatusCode::kNotFound);
  const absl::Status same = model_.CompareId(*live_->Read(), id);
  EXPECT_TRUE(same.ok()) << same;
}

filter::Expression Life::RandomFilter() {
  std::vector<PointId> ids;
  for (uint32_t i = 0; i < 20; ++i) ids.push_back(RandomId());
  if (!schema_.fields.empty()) return test::RandomExpression(random_, ids);
  filter::Expression some{.kind = filter::Expression::Kind::kIds};
  some.ids = std::move(ids);
  return some;
}

void Life::SearchFiltered() {
  const absl::Status same =
      model_.CompareFiltered(*live_->Read(), RandomFilter(), RandomVector(), 1 + Below(20));
  EXPECT_TRUE(same.ok()) << same;
}

void Life::DeleteMatching() {
  // Few at a time, or the collection stays empty.
  filter::Expression few{.kind = filter::Expression::Kind::kAll};
  few.children.push_back(RandomFilter());
  filter::Expression some{.kind = filter::Expression::Kind::kIds};
  for (uint32_t i = 0; i < 15; ++i) some.ids.push_back(RandomId());
  few.children.push_back(std::move(some));
  const uint64_t gone = std::erase_if(model_.points(), [&](const auto& entry) {
    return test::Matches(few, entry.first, entry.second.payload);
  });
  const auto filter = filter::Filter::Make(few, schema_.fields);
  ASSERT_TRUE(filter.ok()) << filter.status();
  const auto deleted = live_->DeleteMatching(*filter, RandomDurability());
  ASSERT_TRUE(deleted.ok()) << deleted.status();
  EXPECT_EQ(deleted->rows, gone);
  sequence_ += gone;
  EXPECT_EQ(deleted->sequence, sequence_);
  EXPECT_EQ(live_->Read()->rows(), model_.points().size());
}

void Life::Search() {
  const absl::Status same = model_.CompareSearch(*live_->Read(), RandomVector(), 1 + Below(20));
  EXPECT_TRUE(same.ok()) << same;
}

void Life::KeepVersion() {
  auto copy = std::make_shared<Model>(schema_);
  copy->points() = model_.points();
  kept_.emplace_back(live_->Read(), std::move(copy));
  if (kept_.size() > 3) kept_.pop_front();
}

void Life::CheckKeptVersion() {
  if (kept_.empty()) return;
  const auto& [version, model] = kept_[Below(static_cast<uint32_t>(kept_.size()))];
  const absl::Status same = model->Compare(*version);
  EXPECT_TRUE(same.ok()) << "a version changed: " << same;
}

void Life::ChangeFields() {
  std::vector<Field> fields = schema_.fields.empty() ? test::ModelFields() : std::vector<Field>();
  if (!fields.empty()) std::rotate(fields.begin(), fields.begin() + Below(3), fields.end());
  const absl::Status done = live_->SetFields(fields);
  ASSERT_TRUE(done.ok()) << done;
  schema_.fields = fields;
  model_.SetFields(fields);
  CompareAll();
}

void Life::Compact() {
  const auto written = live_->Compact();
  ASSERT_TRUE(written.ok()) << written.status();
  CompareAll();
}

// A snapshot, and the collection that is made of it, are what is there now.
void Life::Restore() {
  const std::string snapshot = folder_.Path("snapshot");
  const std::string restored = folder_.Path("restored");
  const auto made = live_->MakeSnapshot(snapshot);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->rows, model_.points().size());
  const absl::Status done = RestoreSnapshot(files_, snapshot, restored, env_.get());
  ASSERT_TRUE(done.ok()) << done;
  {
    const auto readable = Collection::Open(files_, restored, account_);
    ASSERT_TRUE(readable.ok()) << readable.status();
    EXPECT_EQ((*readable)->sequence(), sequence_);
    const absl::Status same = model_.Compare(**readable);
    EXPECT_TRUE(same.ok()) << same;
  }
  for (const std::string& folder : {snapshot, restored}) {
    ASSERT_TRUE(files_.RemoveTree(folder).ok());
  }
}

void Life::Step() {
  const uint32_t choice = Below(1000);
  if (choice < 400) return Upsert();
  if (choice < 500) return UpsertIf();
  if (choice < 650) return Delete();
  if (choice < 750) return UpdatePayload();
  if (choice < 760) return RefuseBadVector();
  if (choice < 770) return RefuseBadPayload();
  if (choice < 830) return Search();
  if (choice < 890) return SearchFiltered();
  if (choice < 900) return DeleteMatching();
  if (choice < 920) return KeepVersion();
  if (choice < 940) return CheckKeptVersion();
  if (choice < 945) return ReopenWithoutFlush();
  if (choice < 950) return Reopen();
  if (choice < 955) return CompareAll();
  if (choice < 957) return ChangeFields();
  if (choice < 959) return Compact();
  if (choice < 960) return Restore();
  const absl::Status done = choice < 980   ? live_->Seal()
                            : choice < 995 ? live_->Maintain()
                                           : live_->Sync();
  EXPECT_TRUE(done.ok()) << done;
}

TEST(LiveModel, AgreesAfterEveryOperation) {
  const uint64_t operations = NumberFrom("MRL_MODEL_OPERATIONS", 50'000);
  uint64_t seed = NumberFrom("MRL_SEED", 1);
  uint64_t done = 0;
  for (; done < operations; ++seed) {
    SCOPED_TRACE(absl::StrCat("MRL_SEED=", seed));
    Life life(seed);
    life.Begin();
    for (uint64_t i = 0; i < kLifeOperations && !::testing::Test::HasFailure(); ++i, ++done) {
      life.Step();
    }
    if (!::testing::Test::HasFailure()) life.End();
    ASSERT_FALSE(::testing::Test::HasFailure()) << "after " << done << " operations";
  }
  std::printf("%llu operations\n", static_cast<unsigned long long>(done));
}

}  // namespace
}  // namespace mrl::collection
