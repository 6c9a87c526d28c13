#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/store/segment.h"
#include "tests/support/fault_file_system.h"
#include "tests/support/test_folder.h"
#include "tests/unit/store/rows.h"

namespace mrl::store {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SegmentWriting : public ::testing::Test {
 protected:
  absl::Status Write(FileSystem& files, Rows rows, uint32_t rows_max = 100) {
    SegmentWriter::Options options;
    options.rows_max = rows_max;
    auto writer = SegmentWriter::Create(files, folder_.Path("000001.seg"), schema_, options);
    if (!writer.ok()) return writer.status();
    const absl::Status appended =
        (*writer)->Append(absl::MakeSpan(rows.vectors), rows.ids, rows.payloads, {});
    if (!appended.ok()) return appended;
    return (*writer)->Finish().status();
  }

  const Schema schema_ = SmallSchema();
  test::TestFolder folder_;
};

TEST_F(SegmentWriting, RefusesAnIdThatComesTwice) {
  for (const auto& [id, text] : std::vector<std::pair<PointId, std::string>>{
           {PointId(uint64_t{42}), "42"}, {PointId("dog.n.01"), "dog.n.01"}}) {
    Rows rows = MakeRows(schema_, 60);
    rows.ids[3] = rows.ids[58] = id;
    const absl::Status status = Write(FileSystem::Posix(), rows);
    EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
    EXPECT_EQ(status.message(), "id '" + text + "' comes more than once");
    EXPECT_THAT(folder_.Names(), IsEmpty());
  }
}

TEST_F(SegmentWriting, TellsANumberFromAStringOfDigits) {
  Rows rows = MakeRows(schema_, 60);
  rows.ids[3] = PointId(uint64_t{42});
  rows.ids[58] = PointId("42");
  EXPECT_TRUE(Write(FileSystem::Posix(), rows).ok());
}

TEST_F(SegmentWriting, WritesWhatWasEncodedBefore) {
  Rows rows = MakeRows(schema_, 60);
  SegmentWriter::Options options;
  options.rows_max = 120;
  options.threads = 3;
  auto writer =
      SegmentWriter::Create(FileSystem::Posix(), folder_.Path("000001.seg"), schema_, options);
  ASSERT_TRUE(writer.ok()) << writer.status();
  const auto first = (*writer)->Encode(absl::MakeSpan(rows.vectors), rows.ids, rows.payloads, {});
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ((*writer)->rows(), 60u);
  const auto again = (*writer)->Encode(absl::MakeSpan(rows.vectors), rows.ids, rows.payloads, {});
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE((*writer)->Write(*first).ok());
  EXPECT_TRUE((*writer)->Write(*again).ok());
  EXPECT_EQ((*writer)->Finish().status().code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(SegmentWriting, KeepsToItsRoom) {
  const absl::Status status = Write(FileSystem::Posix(), MakeRows(schema_, 60), 59);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "the segment has room for 59 rows; 60 were given");
}

TEST_F(SegmentWriting, LeavesNothingWhicheverOperationFails) {
  const Rows rows = MakeRows(schema_, 60);
  test::FaultFileSystem counted;
  ASSERT_TRUE(Write(counted, rows).ok());
  ASSERT_TRUE(FileSystem::Posix().Remove(folder_.Path("000001.seg")).ok());
  ASSERT_GT(counted.operations(), 10u);
  for (uint64_t n = 1; n <= counted.operations(); ++n) {
    test::FaultFileSystem faulty;
    faulty.FailAt(n, absl::ResourceExhaustedError("disk full"));
    EXPECT_EQ(Write(faulty, rows), absl::ResourceExhaustedError("disk full")) << n;
    EXPECT_THAT(folder_.Names(), IsEmpty()) << n;
  }
}

}  // namespace
}  // namespace mrl::store
