#include "index/store/tail.h"

#include <cstring>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/test_folder.h"
#include "tests/unit/store/rows.h"

namespace mrl::store {
namespace {

using ::testing::HasSubstr;

constexpr uint32_t kRows = 60;

std::vector<StoredRow> StoredRows(const Schema& schema) {
  const Rows made = MakeRows(schema, kRows);
  std::vector<StoredRow> rows(kRows);
  for (uint32_t i = 0; i < kRows; ++i) {
    rows[i].id = made.ids[i];
    rows[i].sequence = 100 + 3 * i;
    rows[i].vector.assign(made.vectors.begin() + i * schema.dim,
                          made.vectors.begin() + (i + 1) * schema.dim);
    RoundToStorage(schema, rows[i].vector.data());
    rows[i].payload = made.payloads[i];
    if (!made.mean_deviation.empty()) {
      rows[i].mean = made.mean_deviation[2 * i];
      rows[i].deviation = made.mean_deviation[2 * i + 1];
    }
  }
  return rows;
}

using Setting = std::tuple<Metric, StorageType, Transform>;
class EveryTail : public ::testing::TestWithParam<Setting> {
 protected:
  void SetUp() override {
    auto tail = Tail::Create(schema_, kRows, account_);
    ASSERT_TRUE(tail.ok()) << tail.status();
    tail_ = *tail;
    for (const StoredRow& row : rows_) tail_->Append(row);
  }
  std::shared_ptr<const Segment> WriteSegment() {
    SegmentWriter::Options options;
    options.rows_max = kRows;
    options.first_sequence = rows_[0].sequence;
    options.layer_norm = schema_.transform == Transform::kLayerNorm;
    options.sequences = true;
    const std::string path = folder_.Path("000001.seg");
    auto writer = SegmentWriter::Create(FileSystem::Posix(), path, schema_, options);
    EXPECT_TRUE(writer.ok()) << writer.status();
    for (StoredRow row : rows_) {
      const std::vector<float> moments =
          options.layer_norm ? std::vector<float>{row.mean, row.deviation} : std::vector<float>{};
      const absl::Status appended = (*writer)->Append(
          absl::MakeSpan(row.vector), {&row.id, 1}, {&row.payload, 1}, moments, {&row.sequence, 1});
      EXPECT_TRUE(appended.ok()) << appended;
    }
    const auto info = (*writer)->Finish();
    EXPECT_TRUE(info.ok()) << info.status();
    auto segment = Segment::Open(FileSystem::Posix(), path, *info, schema_, account_);
    EXPECT_TRUE(segment.ok()) << segment.status();
    return segment.ok() ? *segment : nullptr;
  }

  const Schema schema_ =
      SmallSchema(std::get<0>(GetParam()), std::get<1>(GetParam()), std::get<2>(GetParam()));
  const std::vector<StoredRow> rows_ = StoredRows(schema_);
  MemoryAccount account_{uint64_t{1} << 30};
  test::TestFolder folder_;
  std::shared_ptr<Tail> tail_;
};
INSTANTIATE_TEST_SUITE_P(
    TailTest, EveryTail,
    ::testing::Combine(::testing::Values(Metric::kCosine, Metric::kL2),
                       ::testing::Values(StorageType::kF32, StorageType::kF16, StorageType::kBf16,
                                         StorageType::kInt8),
                       ::testing::Values(Transform::kNone, Transform::kLayerNorm)),
    [](const auto& setting) {
      return std::string(ToString(std::get<0>(setting.param))) + "_" +
             std::string(ToString(std::get<1>(setting.param))) + "_" +
             std::string(ToString(std::get<2>(setting.param)));
    });

TEST_P(EveryTail, HoldsTheBitsOfASegment) {
  const auto segment = WriteSegment();
  ASSERT_NE(segment, nullptr);
  const auto view = Tail::View(tail_, kRows);
  for (size_t level = 0; level < schema_.levels(); ++level) {
    const size_t bytes = kRows * schema_.level_width(level) * ElementBytes(schema_.storage);
    EXPECT_EQ(std::memcmp(view->Level(level), segment->Level(level), bytes), 0) << level;
  }
  for (uint32_t row = 0; row < kRows; ++row) {
    if (schema_.storage == StorageType::kInt8) {
      EXPECT_EQ(
          std::memcmp(view->Scales(row), segment->Scales(row), schema_.levels() * sizeof(float)),
          0);
    } else {
      EXPECT_EQ(view->Scales(row), nullptr);
    }
    if (schema_.metric == Metric::kCosine) {
      EXPECT_EQ(std::memcmp(view->InverseNorms(row), segment->InverseNorms(row),
                            schema_.levels() * sizeof(float)),
                0);
    } else {
      EXPECT_EQ(view->InverseNorms(row), nullptr);
    }
    EXPECT_EQ(view->Id(row), segment->Id(row));
    EXPECT_EQ(view->Sequence(row), 100 + 3 * row);
    EXPECT_EQ(segment->Sequence(row), 100 + 3 * row);
    EXPECT_EQ(*view->Payload(row), *segment->Payload(row));
    std::vector<float> a(schema_.dim);
    std::vector<float> b(schema_.dim);
    ASSERT_TRUE(view->Vector(row, a.data()).ok());
    ASSERT_TRUE(segment->Vector(row, b.data()).ok());
    EXPECT_EQ(a, b);
    EXPECT_EQ(view->Find(rows_[row].id), row);
    EXPECT_EQ(view->RowAfter(100 + 3 * row), row + 1);
    EXPECT_EQ(segment->RowAfter(99 + 3 * row), row);
  }
  EXPECT_EQ(segment->info().end_sequence(), 100 + 3 * (kRows - 1) + 1);
}

TEST_P(EveryTail, RowsComeBackFromTheirLogForm) {
  for (const StoredRow& row : rows_) {
    const std::string bytes = EncodeRow(schema_, row);
    const auto back = DecodeRow(schema_, bytes);
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(EncodeRow(schema_, *back), bytes);
    EXPECT_EQ(back->id, row.id);
    EXPECT_EQ(back->vector, row.vector);
    EXPECT_EQ(back->mean, row.mean);
    EXPECT_EQ(back->deviation, row.deviation);
    EXPECT_EQ(back->payload, row.payload);
  }
}

class TailTest : public ::testing::Test {
 protected:
  const Schema schema_ = SmallSchema();
  const std::vector<StoredRow> rows_ = StoredRows(schema_);
  MemoryAccount account_{uint64_t{1} << 20};
};

TEST_F(TailTest, FindsTheLatestRowThatAViewHas) {
  auto tail = *Tail::Create(schema_, 4, account_);
  StoredRow row = rows_[0];
  row.id = PointId("twice");
  tail->Append(row);
  const auto before = Tail::View(tail, 1);
  tail->Append(rows_[1]);
  tail->Append(row);
  EXPECT_EQ(Tail::View(tail, 3)->Find(row.id), 2u);
  EXPECT_EQ(Tail::View(tail, 2)->Find(row.id), 0u);
  EXPECT_EQ(before->Find(row.id), 0u);
  EXPECT_EQ(before->Find(rows_[1].id), std::nullopt);
  EXPECT_EQ(before->Find(PointId("never")), std::nullopt);
}

TEST_F(TailTest, TakesItsMemoryFromTheAccount) {
  const auto refused = Tail::Create(schema_, 100'000, account_);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("1048576"));
  {
    auto tail = *Tail::Create(schema_, 10, account_);
    EXPECT_GT(account_.used_bytes(), 0u);
    EXPECT_EQ(tail->Reserve(2 << 20).code(), absl::StatusCode::kResourceExhausted);
    EXPECT_TRUE(tail->Reserve(1000).ok());
  }
  EXPECT_EQ(account_.used_bytes(), 0u);
}

TEST_F(TailTest, RefusesDamagedLogRows) {
  const std::string good = EncodeRow(schema_, rows_[1]);
  for (const size_t size : {0, 3, 4, 50}) {
    const auto cut = DecodeRow(schema_, good.substr(0, size));
    EXPECT_EQ(cut.status().code(), absl::StatusCode::kDataLoss) << size;
  }
  std::string newer = good;
  newer[0] = 2;
  EXPECT_EQ(DecodeRow(schema_, newer).status().code(), absl::StatusCode::kFailedPrecondition);
  std::string odd = good;
  odd[1] = 7;
  EXPECT_THAT(std::string(DecodeRow(schema_, odd).status().message()), HasSubstr("no known kind"));
}

}  // namespace
}  // namespace mrl::store
