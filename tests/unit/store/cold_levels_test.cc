// Levels that stay in the segment file: the same rows as in memory, less memory, and an error of
// the file that stays with those who read it.
#include <unistd.h>

#include <cstring>
#include <tuple>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/store/segment.h"
#include "tests/support/test_folder.h"
#include "tests/unit/store/rows.h"

namespace mrl::store {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// A hundred rows again and again, each under a number of its own.
Rows MakeRowsOverAndOver(const Schema& schema, uint32_t rows) {
  constexpr uint32_t kRows = 100;
  const Rows some = MakeRows(schema, kRows);
  Rows made;
  for (uint32_t row = 0; row < rows; ++row) {
    const uint32_t from = row % kRows;
    const float* vector = some.vectors.data() + size_t{from} * schema.dim;
    made.vectors.insert(made.vectors.end(), vector, vector + schema.dim);
    made.ids.emplace_back(uint64_t{row});
    if (schema.transform != Transform::kLayerNorm) continue;
    const float* moments = some.mean_deviation.data() + 2 * from;
    made.mean_deviation.insert(made.mean_deviation.end(), moments, moments + 2);
  }
  return made;
}

// A file in a folder of its own, opened as often as one likes.
class Written {
 public:
  Written(const Schema& schema, uint32_t rows) : schema_(schema) {
    const Rows made = MakeRowsOverAndOver(schema, rows);
    SegmentWriter::Options options;
    options.rows_max = rows;
    options.layer_norm = schema.transform == Transform::kLayerNorm;
    auto writer = SegmentWriter::Create(files_, path_, schema, options);
    std::vector<float> vectors = made.vectors;
    EXPECT_TRUE((*writer)->Append(absl::MakeSpan(vectors), made.ids, {}, made.mean_deviation).ok());
    info_ = *(*writer)->Finish();
  }

  std::shared_ptr<const Segment> Open(uint32_t hot_dims) {
    auto opened = Segment::Open(files_, path_, info_, schema_, account_, hot_dims);
    EXPECT_TRUE(opened.ok()) << opened.status();
    return *opened;
  }
  // Where the first bytes of a level lie in the file.
  size_t PlaceOf(const Segment& segment, size_t level) const {
    const std::string bytes = test::ReadBytes(path_);
    return bytes.find(std::string(static_cast<const char*>(segment.Level(level)), 64), 4096);
  }
  const std::string& path() const { return path_; }
  const MemoryAccount& account() const { return account_; }

 private:
  const Schema schema_;
  FileSystem& files_ = FileSystem::Posix();
  test::TestFolder folder_;
  const std::string path_ = folder_.Path("000001.seg");
  MemoryAccount account_{1 << 30};
  SegmentInfo info_;
};

std::vector<float> PrefixOf(const Segment& segment, uint32_t row, size_t level) {
  std::vector<float> prefix(segment.schema().ladder[level]);
  const absl::Status read = segment.Prefix(row, level, prefix.data());
  EXPECT_TRUE(read.ok()) << read;
  return prefix;
}

absl::Status Read(const Segment& segment, uint32_t row, size_t level) {
  std::vector<float> prefix(segment.schema().dim);
  return segment.Prefix(row, level, prefix.data());
}

class EveryColdSegment : public ::testing::TestWithParam<std::tuple<StorageType, Transform>> {};

TEST_P(EveryColdSegment, HasTheRowsOfAHotOne) {
  const auto [storage, transform] = GetParam();
  const Schema schema = SmallSchema(Metric::kCosine, storage, transform);
  constexpr uint32_t kRows = 700;
  Written written(schema, kRows);
  const auto hot = written.Open(0);
  for (const uint32_t hot_dims : {1, 4, 9, 10, 23}) {
    const auto cold = written.Open(hot_dims);
    std::vector<float> a(schema.dim);
    std::vector<float> b(schema.dim);
    for (uint32_t row = 0; row < kRows; ++row) {
      for (size_t level = 0; level < schema.levels(); ++level) {
        ASSERT_EQ(PrefixOf(*cold, row, level), PrefixOf(*hot, row, level)) << row;
      }
      ASSERT_TRUE(hot->Vector(row, a.data()).ok() && cold->Vector(row, b.data()).ok());
      ASSERT_EQ(a, b) << row;
    }
    for (size_t level = 0; level < schema.levels(); ++level) {
      const size_t bytes = kRows * schema.level_width(level) * ElementBytes(storage);
      ASSERT_TRUE(cold->FetchRange(0, level, 0, kRows).ok());
      EXPECT_EQ(std::memcmp(cold->Level(level), hot->Level(level), bytes), 0) << level;
      EXPECT_TRUE(cold->CheckRead(level).ok());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Schemas, EveryColdSegment,
    ::testing::Combine(::testing::Values(StorageType::kF32, StorageType::kF16, StorageType::kBf16,
                                         StorageType::kInt8),
                       ::testing::Values(Transform::kNone, Transform::kLayerNorm)));

TEST(ColdLevels, AreThoseThatEndAbove) {
  Written written(SmallSchema(), 50);
  const std::pair<uint32_t, size_t> cases[] = {{0, 3},  {1, 0},  {3, 0},  {4, 1},    {9, 1},
                                               {10, 2}, {23, 2}, {24, 3}, {65536, 3}};
  for (const auto& [hot_dims, levels] : cases) {
    EXPECT_EQ(written.Open(hot_dims)->hot_levels(), levels) << hot_dims;
  }
}

TEST(ColdLevels, TakeNoMemory) {
  Written written(SmallSchema(), 101);
  for (const auto& [hot_dims, dims] : {std::pair<uint32_t, uint64_t>{0, 24}, {10, 10}, {1, 0}}) {
    const auto segment = written.Open(hot_dims);
    const Segment::Memory memory = segment->memory();
    EXPECT_EQ(memory.levels, 101 * dims * sizeof(float));
    EXPECT_EQ(written.account().used_bytes(),
              memory.levels + memory.norms + memory.ids + memory.other);
    EXPECT_EQ(segment->ColdRowBytes(0, 2), (24 - dims) * sizeof(float));
  }
}

TEST(ColdLevels, NameTheDamagedPageToThoseWhoReadIt) {
  constexpr uint32_t kRows = 40'000;  // of many pages
  Written written(SmallSchema(), kRows);
  const size_t row_bytes = 14 * sizeof(float);
  const size_t begin = written.PlaceOf(*written.Open(0), 2);
  test::FlipByte(written.path(), begin + 30'000 * row_bytes);
  const auto segment = written.Open(10);
  EXPECT_TRUE(Read(*segment, 30'000, 1).ok());
  EXPECT_TRUE(Read(*segment, 0, 2).ok());
  const absl::Status damaged = Read(*segment, 30'000, 2);
  EXPECT_EQ(damaged.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(damaged.message(), AllOf(HasSubstr("000001.seg: level.2: page "),
                                       HasSubstr("the checksum does not match")));
  EXPECT_THAT(damaged.message(), Not(HasSubstr("page 0 ")));
  EXPECT_TRUE(Read(*segment, 1, 2).ok());  // the others go on
  const uint32_t rows[] = {5, 30'000, 7};
  EXPECT_EQ(segment->Fetch(0, 2, rows), damaged);
  EXPECT_EQ(segment->FetchRange(2, 2, 0, kRows), damaged);
  EXPECT_TRUE(segment->Fetch(0, 1, rows).ok());
}

TEST(ColdLevels, OutliveAFileThatIsCutShort) {
  Written written(SmallSchema(), 3000);
  Written other(SmallSchema(), 3000);
  const auto segment = written.Open(4);
  const auto sound = other.Open(4);
  EXPECT_TRUE(Read(*segment, 2999, 2).ok());
  ASSERT_EQ(truncate(written.path().c_str(), 4096), 0);
  // A page that is gone: read without a word, then found out.
  float last = 1;
  std::memcpy(&last, static_cast<const float*>(segment->Level(2)) + 2999 * 14, sizeof(last));
  EXPECT_EQ(last, 0);
  EXPECT_THAT(segment->CheckRead(2).message(), HasSubstr("000001.seg: level.1: a page could not"));
  for (const uint32_t row : {0, 2999}) {
    const absl::Status cut = Read(*segment, row, 2);
    EXPECT_EQ(cut.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(cut.message(), HasSubstr("cut short after it was opened"));
  }
  EXPECT_TRUE(Read(*segment, 2999, 0).ok());  // hot
  for (uint32_t row = 0; row < 3000; ++row) ASSERT_TRUE(Read(*sound, row, 2).ok());
}

TEST(ColdLevels, MissALittleOfTheLastPage) {
  Written written(SmallSchema(), 100);
  const auto segment = written.Open(4);
  EXPECT_TRUE(Read(*segment, 0, 2).ok());
  // No page goes, so that no signal comes.
  ASSERT_EQ(truncate(written.path().c_str(),
                     static_cast<off_t>(test::ReadBytes(written.path()).size()) - 1),
            0);
  EXPECT_EQ(Read(*segment, 0, 2).code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace mrl::store
