// What a build makes, and what it refuses.
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <tuple>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/collection/collection.h"
#include "tests/support/test_folder.h"
#include "tests/unit/collection/sample.h"

namespace mrl::collection {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Builder : public ::testing::Test {
 protected:
  std::shared_ptr<const Collection> Open() {
    auto collection = Collection::Open(files_, path_, account_);
    EXPECT_TRUE(collection.ok()) << collection.status();
    return collection.ok() ? *collection : nullptr;
  }
  absl::StatusOr<BuildReport> Build(uint32_t rows, const BuildOptions& options = {}) {
    return collection::Build(files_, path_, schema_, rows, options);
  }
  absl::Status Append(Chunk chunk, const BuildOptions& options = {}) {
    auto builder = CollectionBuilder::Create(files_, path_, schema_, options);
    EXPECT_TRUE(builder.ok()) << builder.status();
    const absl::Status appended = (*builder)->Append(std::move(chunk));
    return appended.ok() ? (*builder)->Finish().status() : appended;
  }
  void ExpectRefused(const absl::Status& status, absl::StatusCode code,
                     const std::string& message) {
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(status.message(), HasSubstr(message));
    EXPECT_THAT(folder_.Names(), IsEmpty());
  }

  FileSystem& files_ = FileSystem::Posix();
  MemoryAccount account_{1 << 30};
  test::TestFolder folder_;
  const std::string path_ = folder_.Path("c");
  Schema schema_ = SmallSchema();
};

TEST_F(Builder, MakesWhatOpens) {
  const auto report = Build(50);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->rows, 50u);
  EXPECT_EQ(report->skipped, 0u);
  EXPECT_THAT(folder_.Names(), ElementsAre("c"));
  const auto collection = Open();
  ASSERT_NE(collection, nullptr);
  EXPECT_EQ(collection->schema(), schema_);
  EXPECT_EQ(collection->rows(), 50u);
  EXPECT_EQ(collection->generation(), 1u);
  EXPECT_THAT(collection->uuid(), SizeIs(32));
  EXPECT_THAT(collection->kinds(), ElementsAre("scan"));
  EXPECT_EQ(account_.used_bytes(), collection->memory_bytes());
  EXPECT_TRUE(Verify(files_, path_, {}).ok());
}

// But for the head of each file, which has its random uuid.
TEST_F(Builder, WritesTheSameBytesOnAnyNumberOfThreads) {
  constexpr size_t kHeadBytes = 4096;
  constexpr uint32_t kRows = 700;
  constexpr uint32_t kChunkRows = 250;  // several pieces, and no whole blocks
  schema_ = SmallSchema(Metric::kCosine, StorageType::kInt8, Transform::kLayerNorm);
  schema_.codes = {{4, 8}, {10, 8}, {24, 1}};
  schema_.fields = {{"n", FieldType::kInt}};
  BuildOptions options;
  options.segment_rows_max = 400;
  options.index = coarse::WithDefaults({.kind = "ivf_scan", .lists = 4}, schema_);
  std::map<std::string, std::string> wanted;
  for (const uint32_t threads : {1, 3}) {
    options.threads = threads;
    const std::string path = folder_.Path(threads == 1 ? "one" : "three");
    ASSERT_TRUE(collection::Build(files_, path, schema_, kRows, options, kChunkRows).ok());
    std::map<std::string, std::string> written;
    const auto names = files_.List(path + "/segments");
    ASSERT_TRUE(names.ok()) << names.status();
    for (const std::string& name : *names) {
      written[name] = test::ReadBytes(path + "/segments/" + name).substr(kHeadBytes);
    }
    EXPECT_EQ(written.size(), 8u);  // two segments: rows, scan, lists, fields
    if (threads == 1) wanted = written;
    for (const auto& [name, bytes] : written) EXPECT_TRUE(bytes == wanted[name]) << name;
    EXPECT_TRUE(Verify(files_, path, {}).ok());
  }
}

TEST_F(Builder, SaysWhatItsStepsTook) {
  BuildOptions options;
  options.index = coarse::IndexSpec{.kind = "faiss", .dims = 10, .factory = "Flat"};
  const auto report = Build(50, options);
  ASSERT_TRUE(report.ok()) << report.status();
  const BuildSeconds& seconds = report->seconds;
  EXPECT_EQ(seconds.read, 0);
  for (const double step : {seconds.check, seconds.encode, seconds.write, seconds.finish,
                            seconds.index, seconds.database}) {
    EXPECT_GT(step, 0);
  }
}

TEST_F(Builder, CutsSegmentsThatTogetherHoldEveryRow) {
  BuildOptions options;
  options.segment_rows_max = 16;
  ASSERT_TRUE(Build(50, options).ok());
  const auto collection = Open();
  ASSERT_NE(collection, nullptr);
  ASSERT_THAT(collection->view().parts, SizeIs(4));
  for (uint32_t row = 0; row < 50; ++row) {
    const store::Segment& segment = *collection->view().parts[row / 16].segment;
    EXPECT_EQ(segment.info().first_sequence, row / 16 * 16 + 1);
    EXPECT_EQ(segment.Find(IdOf(row)), row % 16);
    EXPECT_EQ(segment.Payload(row % 16).value_or("?"), PayloadOf(row));
    std::vector<float> vector(schema_.dim);
    ASSERT_TRUE(segment.Vector(row % 16, vector.data()).ok());
    EXPECT_EQ(vector, MakeChunk(schema_, 1, row).vectors);
  }
  EXPECT_TRUE(Verify(files_, path_, {}).ok());
}

TEST_F(Builder, MakesEverySchema) {
  for (const Metric metric : {Metric::kCosine, Metric::kInnerProduct, Metric::kL2}) {
    for (const StorageType storage :
         {StorageType::kF32, StorageType::kF16, StorageType::kBf16, StorageType::kInt8}) {
      for (const Transform transform : {Transform::kNone, Transform::kLayerNorm}) {
        schema_ = SmallSchema(metric, storage, transform);
        BuildOptions options;
        options.replace = true;
        ASSERT_TRUE(Build(30, options).ok());
        EXPECT_EQ(Open()->schema(), schema_);
        const absl::Status verified = Verify(files_, path_, {});
        EXPECT_TRUE(verified.ok()) << verified;
      }
    }
  }
}

TEST_F(Builder, PutsFaissBeforeTheScan) {
  BuildOptions options;
  options.segment_rows_max = 30;
  options.index = coarse::IndexSpec{.kind = "faiss", .dims = 10, .factory = "Flat"};
  ASSERT_TRUE(Build(50, options).ok());
  const auto collection = Open();
  EXPECT_THAT(collection->kinds(), ElementsAre("faiss", "scan"));
  EXPECT_EQ(collection->plan_input().default_dims, 10u);
  EXPECT_TRUE(Verify(files_, path_, {}).ok());
}

TEST_F(Builder, NamesAnIdThatComesTwiceInASegment) {
  Chunk chunk = MakeChunk(schema_, 10);
  chunk.ids[8] = chunk.ids[3];
  ExpectRefused(Append(std::move(chunk)), absl::StatusCode::kAlreadyExists,
                "id 'word.n.3' comes more than once");
}

TEST_F(Builder, NamesAnIdThatComesTwiceInDifferentSegments) {
  for (const auto& [id, text] : std::vector<std::pair<PointId, std::string>>{
           {PointId(uint64_t{70}), "70"}, {PointId("word.n.70"), "word.n.70"}}) {
    Chunk chunk = MakeChunk(schema_, 40);
    chunk.ids[2] = chunk.ids[37] = id;
    BuildOptions options;
    options.segment_rows_max = 10;
    ExpectRefused(Append(std::move(chunk), options), absl::StatusCode::kAlreadyExists,
                  "id '" + text + "' comes more than once");
  }
}

TEST_F(Builder, NamesTheRowThatCannotBeStored) {
  Chunk chunk = MakeChunk(schema_, 10);
  chunk.vectors[4 * schema_.dim + 2] = std::nanf("");
  ExpectRefused(Append(chunk), absl::StatusCode::kInvalidArgument,
                "row 4: a value is NaN or infinite: nan at dimension 2");
  chunk = MakeChunk(schema_, 10);
  chunk.ids[6] = PointId("");
  ExpectRefused(Append(chunk), absl::StatusCode::kInvalidArgument, "row 6: ");
}

TEST_F(Builder, CountsTheRowsThatItRefusesOverAllChunks) {
  auto builder = CollectionBuilder::Create(files_, path_, schema_, {});
  for (uint32_t first = 0; first < 30; first += 10) {
    Chunk chunk = MakeChunk(schema_, 10, first);
    if (first > 0) chunk.vectors[7 * schema_.dim] = std::nanf("");
    ASSERT_TRUE((*builder)->Append(std::move(chunk)).ok());
  }
  const absl::Status status = (*builder)->Finish().status();
  builder->reset();
  ExpectRefused(status, absl::StatusCode::kInvalidArgument,
                "row 17: a value is NaN or infinite: nan at dimension 0; 2 of 30 rows cannot be "
                "stored; drop them with --skip-invalid");
}

TEST_F(Builder, SkipsAndCountsWhatCannotBeStored) {
  Chunk chunk = MakeChunk(schema_, 10);
  chunk.vectors[4 * schema_.dim + 2] = std::numeric_limits<float>::infinity();
  std::fill_n(&chunk.vectors[9 * schema_.dim], schema_.dim, 0.0F);
  BuildOptions options;
  options.skip_invalid = true;
  auto builder = CollectionBuilder::Create(files_, path_, schema_, options);
  ASSERT_TRUE((*builder)->Append(std::move(chunk)).ok());
  const auto report = (*builder)->Finish();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->rows, 8u);
  EXPECT_EQ(report->skipped, 2u);
  EXPECT_EQ(report->first_skipped, "row 4: a value is NaN or infinite: inf at dimension 2");
  const auto collection = Open();
  const store::Segment& segment = *collection->view().parts[0].segment;
  EXPECT_EQ(segment.Find(IdOf(4)), std::nullopt);
  EXPECT_EQ(segment.Find(IdOf(5)), 4u);
  EXPECT_EQ(segment.Payload(4).value_or("?"), PayloadOf(5));
}

TEST_F(Builder, RefusesToBuildFromNothing) {
  ExpectRefused(Build(0).status(), absl::StatusCode::kInvalidArgument,
                "there are no rows to build from; 0 of 0 were skipped");
}

TEST_F(Builder, RefusesChunksThatDoNotFitTogether) {
  Chunk chunk = MakeChunk(schema_, 10);
  chunk.vectors.pop_back();
  ExpectRefused(Append(chunk), absl::StatusCode::kInvalidArgument,
                "10 ids came with 239 values; 24 per id are needed");
  chunk = MakeChunk(schema_, 10);
  chunk.payloads.pop_back();
  ExpectRefused(Append(chunk), absl::StatusCode::kInvalidArgument, "10 ids came with 9 payloads");
}

TEST_F(Builder, RefusesOptionsOutOfRange) {
  BuildOptions options;
  options.segment_rows_max = 4'000'001;
  ExpectRefused(Build(1, options).status(), absl::StatusCode::kInvalidArgument,
                "segment_rows_max is 4000001; 1 to 4000000 is allowed");
  options = {};
  options.index = coarse::IndexSpec{.kind = "faiss", .dims = 11, .factory = "Flat"};
  ExpectRefused(Build(1, options).status(), absl::StatusCode::kInvalidArgument,
                "faiss: 11 dims are not on the ladder 4,10,24");
  schema_.ladder = {4, 4, 24};
  ExpectRefused(Build(1).status(), absl::StatusCode::kInvalidArgument, "4");
}

class Replacement : public Builder {
 protected:
  Replacement() {
    EXPECT_TRUE(Build(20).ok());
    replace_.replace = true;
  }
  BuildOptions replace_;
};

TEST_F(Replacement, MustBeAskedFor) {
  const auto before = test::Snapshot(path_);
  const absl::Status status = Build(30).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(status.message(), HasSubstr("/c exists; replace it with --replace"));
  EXPECT_EQ(test::Snapshot(path_), before);
}

TEST_F(Replacement, ExchangesTheDirectoryAndCountsTheGeneration) {
  const auto old = Open();
  ASSERT_TRUE(Build(30, replace_).ok());
  EXPECT_THAT(folder_.Names(), ElementsAre("c"));
  const auto collection = Open();
  EXPECT_EQ(collection->rows(), 30u);
  EXPECT_EQ(collection->generation(), 2u);
  EXPECT_NE(collection->uuid(), old->uuid());
  // Who had it open keeps the old version, payloads on disk too.
  EXPECT_EQ(old->rows(), 20u);
  EXPECT_EQ(old->view().parts[0].segment->Payload(7).value_or("?"), PayloadOf(7));
}

TEST_F(Replacement, RepairsADamagedCollection) {
  test::WriteBytes(path_ + "/db/CURRENT", "no manifest here");
  ASSERT_TRUE(Build(30, replace_).ok());
  EXPECT_EQ(Open()->generation(), 1u);
}

TEST_F(Replacement, IsOfCollectionsOnly) {
  ASSERT_TRUE(files_.CreateDirectory(folder_.Path("mine")).ok());
  test::WriteBytes(folder_.Path("mine/notes"), "keep me");
  const absl::Status status =
      collection::Build(files_, folder_.Path("mine"), schema_, 20, replace_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("is not a collection directory and is not replaced"));
  EXPECT_EQ(test::ReadBytes(folder_.Path("mine/notes")), "keep me");
}

TEST_F(Replacement, ThatFailsLeavesTheOldOne) {
  const auto before = test::Snapshot(path_);
  Chunk chunk = MakeChunk(schema_, 10);
  chunk.ids[8] = chunk.ids[3];
  EXPECT_EQ(Append(std::move(chunk), replace_).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(test::Snapshot(path_), before);
  EXPECT_THAT(folder_.Names(), ElementsAre("c"));
}

TEST_F(Replacement, DoesNotOverwriteWhatAppearsDuringTheBuild) {
  const std::string other = folder_.Path("d");
  auto builder = CollectionBuilder::Create(files_, other, schema_, {});
  ASSERT_TRUE((*builder)->Append(MakeChunk(schema_, 10)).ok());
  ASSERT_TRUE(collection::Build(files_, other, schema_, 20).ok());
  const auto before = test::Snapshot(other);
  const absl::Status status = (*builder)->Finish().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(status.message(), HasSubstr("/d appeared while it was built"));
  builder->reset();
  EXPECT_EQ(test::Snapshot(other), before);
  EXPECT_THAT(folder_.Names(), ElementsAre("c", "d"));
}

}  // namespace
}  // namespace mrl::collection
