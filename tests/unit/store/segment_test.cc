#include "index/store/segment.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <tuple>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/test_folder.h"
#include "tests/unit/store/rows.h"

namespace mrl::store {
namespace {

using ::testing::HasSubstr;

constexpr uint32_t kRows = 101;

// Written in two chunks into room for more rows than come.
class WrittenSegment {
 public:
  WrittenSegment(const Schema& schema, Rows rows) : given(rows), stored(std::move(rows)) {
    SegmentWriter::Options options;
    options.number = 3;
    options.first_sequence = 500;
    options.rows_max = 150;
    options.layer_norm = schema.transform == Transform::kLayerNorm;
    auto writer = SegmentWriter::Create(files, path, schema, options);
    EXPECT_TRUE(writer.ok()) << writer.status();
    Append(**writer, schema.dim, 0, 40);
    Append(**writer, schema.dim, 40, stored.ids.size());
    EXPECT_EQ((*writer)->rows(), stored.ids.size());
    auto finished = (*writer)->Finish();
    EXPECT_TRUE(finished.ok()) << finished.status();
    info = *finished;
    auto opened = Segment::Open(files, path, info, schema, account);
    EXPECT_TRUE(opened.ok()) << opened.status();
    segment = *opened;
  }

  FileSystem& files = FileSystem::Posix();
  test::TestFolder folder;
  const std::string path = folder.Path("000003.seg");
  MemoryAccount account{1 << 30};
  const Rows given;
  Rows stored;  // as the writer left them
  SegmentInfo info;
  std::shared_ptr<const Segment> segment;

 private:
  void Append(SegmentWriter& writer, size_t dim, size_t begin, size_t end) {
    const size_t rows = end - begin;
    absl::Span<const float> moments;
    if (!stored.mean_deviation.empty()) {
      moments = absl::MakeConstSpan(stored.mean_deviation).subspan(2 * begin, 2 * rows);
    }
    absl::Span<const std::string> payloads;
    if (!stored.payloads.empty()) {
      payloads = absl::MakeConstSpan(stored.payloads).subspan(begin, rows);
    }
    const absl::Status status =
        writer.Append(absl::MakeSpan(stored.vectors).subspan(begin * dim, rows * dim),
                      absl::MakeConstSpan(stored.ids).subspan(begin, rows), payloads, moments);
    EXPECT_TRUE(status.ok()) << status;
  }
};

std::vector<PointId> AbsentIds() {
  std::vector<PointId> ids;
  for (const uint64_t number : {0, 1, 1000}) ids.emplace_back(number);
  for (const char* text : {"999", "word.n.", "word.n.10000", "zebra"}) {
    ids.emplace_back(std::string(text));
  }
  return ids;
}

class EverySegment : public ::testing::TestWithParam<std::tuple<Metric, StorageType, Transform>> {
 protected:
  EverySegment()
      : schema_(std::apply(SmallSchema, GetParam())), written_(schema_, MakeRows(schema_, kRows)) {}

  const float* Stored(uint32_t row) const {
    return written_.stored.vectors.data() + size_t{row} * schema_.dim;
  }

  const Schema schema_;
  const WrittenSegment written_;
  const Segment& segment_ = *written_.segment;
};

TEST_P(EverySegment, KeepsWhatTheWriterLeft) {
  for (uint32_t row = 0; row < kRows; ++row) {
    for (size_t level = 0; level < schema_.levels(); ++level) {
      std::vector<float> prefix(schema_.ladder[level]);
      ASSERT_TRUE(segment_.Prefix(row, level, prefix.data()).ok());
      for (size_t i = 0; i < prefix.size(); ++i) ASSERT_EQ(prefix[i], Stored(row)[i]) << row;
    }
  }
}

// Half of a step between neighbours of the type around `value`, one of `width` in `level`.
double HalfAStep(StorageType type, float value, const float* level, size_t width) {
  switch (type) {
    case StorageType::kF32:
      return 0;
    case StorageType::kF16:
      return std::abs(value) * 0x1p-11 + 0x1p-25;
    case StorageType::kBf16:
      return std::abs(value) * 0x1p-8;
    case StorageType::kInt8: {
      const auto smaller = [](float a, float b) { return std::abs(a) < std::abs(b); };
      return std::abs(*std::max_element(level, level + width, smaller)) / 254 * 1.0001;
    }
  }
  return 0;
}

TEST_P(EverySegment, RoundsToTheStorageTypeAndNoFurther) {
  for (uint32_t row = 0; row < kRows; ++row) {
    const float* given = written_.given.vectors.data() + size_t{row} * schema_.dim;
    for (size_t level = 0; level < schema_.levels(); ++level) {
      const uint32_t begin = schema_.level_begin(level);
      for (uint32_t i = begin; i < schema_.ladder[level]; ++i) {
        const double step =
            HalfAStep(schema_.storage, given[i], given + begin, schema_.level_width(level));
        ASSERT_LE(std::abs(double{Stored(row)[i]} - given[i]), step) << row << " " << i;
      }
    }
  }
}

TEST_P(EverySegment, HasAScaleForEachRowAndLevelOfInt8Only) {
  for (uint32_t row = 0; row < kRows; ++row) {
    const float* scales = segment_.Scales(row);
    ASSERT_EQ(scales != nullptr, schema_.storage == StorageType::kInt8);
    if (scales == nullptr) return;
    for (size_t level = 0; level < schema_.levels(); ++level) {
      const size_t width = schema_.level_width(level);
      const auto* codes = static_cast<const int8_t*>(segment_.Level(level)) + row * width;
      for (size_t i = 0; i < width; ++i) {
        const double value = double{scales[level]} * codes[i];
        ASSERT_EQ(Stored(row)[schema_.level_begin(level) + i], value) << row << " " << level;
      }
    }
  }
}

TEST_P(EverySegment, KeepsItsBitsWhenItsRowsAreWrittenAgain) {
  Rows rows = written_.given;
  rows.vectors = written_.stored.vectors;
  const WrittenSegment again(schema_, std::move(rows));
  for (size_t level = 0; level < schema_.levels(); ++level) {
    const size_t bytes = kRows * schema_.level_width(level) * ElementBytes(schema_.storage);
    EXPECT_EQ(std::memcmp(again.segment->Level(level), segment_.Level(level), bytes), 0) << level;
  }
  if (schema_.storage != StorageType::kInt8) return;
  EXPECT_EQ(std::memcmp(again.segment->Scales(0), segment_.Scales(0),
                        kRows * schema_.levels() * sizeof(float)),
            0);
}

TEST_P(EverySegment, HasTheInverseNormOfEachPrefix) {
  for (uint32_t row = 0; row < kRows; ++row) {
    const float* norms = segment_.InverseNorms(row);
    ASSERT_EQ(norms != nullptr, schema_.metric == Metric::kCosine);
    if (norms == nullptr) continue;
    for (size_t level = 0; level < schema_.levels(); ++level) {
      double squares = 0;
      for (uint32_t i = 0; i < schema_.ladder[level]; ++i) squares += std::pow(Stored(row)[i], 2.0);
      EXPECT_NEAR(norms[level] * std::sqrt(squares), 1, 1e-7) << row << " " << level;
    }
  }
}

TEST_P(EverySegment, UndoesItsTransform) {
  const bool layer_norm = schema_.transform == Transform::kLayerNorm;
  std::vector<float> vector(schema_.dim);
  for (uint32_t row = 0; row < kRows; ++row) {
    ASSERT_TRUE(segment_.Vector(row, vector.data()).ok());
    const double mean = layer_norm ? written_.given.mean_deviation[2 * row] : 0;
    const double deviation = layer_norm ? written_.given.mean_deviation[2 * row + 1] : 1;
    for (uint32_t i = 0; i < schema_.dim; ++i) {
      ASSERT_NEAR(vector[i], Stored(row)[i] * deviation + mean, layer_norm ? 1e-5 * deviation : 0);
    }
  }
}

TEST_P(EverySegment, FindsEachRowByItsIdAndNoOther) {
  for (uint32_t row = 0; row < kRows; ++row) {
    EXPECT_EQ(segment_.Id(row), written_.given.ids[row]);
    EXPECT_EQ(segment_.Find(written_.given.ids[row]), row);
    const uint32_t other = (row * 37 + 5) % kRows;
    EXPECT_EQ(segment_.IdLess(row, other), written_.given.ids[row] < written_.given.ids[other]);
  }
  for (const PointId& absent : AbsentIds()) {
    EXPECT_EQ(segment_.Find(absent), std::nullopt) << absent.ToString();
  }
}

TEST_P(EverySegment, ReadsPayloadsFromDisk) {
  for (uint32_t row = 0; row < kRows; ++row) {
    const auto payload = segment_.Payload(row);
    ASSERT_TRUE(payload.ok()) << payload.status();
    EXPECT_EQ(*payload, written_.given.payloads[row]);
  }
}

TEST_P(EverySegment, CountsItsMemoryOnce) {
  const Segment::Memory memory = segment_.memory();
  EXPECT_EQ(memory.levels, kRows * schema_.vector_bytes());
  EXPECT_EQ(memory.norms, schema_.metric == Metric::kCosine ? kRows * 3 * 4 : 0);
  EXPECT_EQ(written_.account.used_bytes(),
            memory.levels + memory.norms + memory.ids + memory.other);
}

INSTANTIATE_TEST_SUITE_P(
    Schemas, EverySegment,
    ::testing::Combine(::testing::Values(Metric::kCosine, Metric::kInnerProduct, Metric::kL2),
                       ::testing::Values(StorageType::kF32, StorageType::kF16, StorageType::kBf16,
                                         StorageType::kInt8),
                       ::testing::Values(Transform::kNone, Transform::kLayerNorm)));

TEST(Segment, StandsUnderItsNumberAndSequence) {
  const WrittenSegment written(SmallSchema(), MakeRows(SmallSchema(), 50));
  EXPECT_EQ(written.segment->info().number, 3u);
  EXPECT_EQ(written.segment->info().first_sequence, 500u);
  EXPECT_EQ(written.segment->rows(), 50u);
  EXPECT_EQ(written.info.uuid.size(), 32u);
}

TEST(Segment, NeedsNoLengthsForNumbers) {
  Rows rows = MakeRows(SmallSchema(), 50);
  rows.ids.clear();
  for (uint64_t row = 0; row < 50; ++row) rows.ids.emplace_back(~uint64_t{0} - row * row);
  rows.payloads.clear();
  const WrittenSegment written(SmallSchema(), rows);
  for (uint32_t row = 0; row < 50; ++row) {
    EXPECT_EQ(written.segment->Find(rows.ids[row]), row);
    EXPECT_EQ(*written.segment->Payload(row), "");
  }
  EXPECT_EQ(written.segment->memory().ids, 50u * (8 + 4));
}

TEST(Segment, HasNoNormForAZeroPrefix) {
  Rows rows = MakeRows(SmallSchema(), 50);
  for (uint32_t i = 0; i < 4; ++i) rows.vectors[24 + i] = 0;
  const WrittenSegment written(SmallSchema(), rows);
  EXPECT_EQ(written.segment->InverseNorms(1)[0], 0);
  EXPECT_GT(written.segment->InverseNorms(1)[1], 0);
}

TEST(Segment, StaysWithinTheMemoryLimit) {
  const Schema schema = SmallSchema();
  const WrittenSegment written(schema, MakeRows(schema, kRows));
  MemoryAccount small(1000);
  const auto segment = Segment::Open(written.files, written.path, written.info, schema, small);
  EXPECT_EQ(segment.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(segment.status().message(), HasSubstr("000003.seg"));
  EXPECT_THAT(segment.status().message(), HasSubstr("1000"));
  EXPECT_EQ(small.used_bytes(), 0u);
}

}  // namespace
}  // namespace mrl::store
