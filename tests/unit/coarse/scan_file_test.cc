// The side file of the scan: what it is bound to, and that damage is seen.
#include <string>
#include <vector>

#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/format/section_file.h"
#include "tests/unit/coarse/sample.h"

namespace mrl::coarse {
namespace {

using test::Sample;
using ::testing::HasSubstr;

constexpr uint64_t kFileMax = uint64_t{64} << 20;

// Copies a file with one byte changed.
void CopyDamaged(const std::string& from, const std::string& to, uint64_t at) {
  FileSystem& files = FileSystem::Posix();
  absl::StatusOr<std::string> bytes = ReadFile(files, from, kFileMax);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  (*bytes)[at] = static_cast<char>((*bytes)[at] ^ 0x10);
  auto file = files.Create(to);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE(
      (*file)->WriteAt(0, {reinterpret_cast<const std::byte*>(bytes->data()), bytes->size()}).ok());
  ASSERT_TRUE((*file)->Close().ok());
}

TEST(ScanFile, RefusesAChangedByteInEverySection) {
  Sample sample({.rows = 130, .metric = Metric::kL2, .codes = {{8, 8}, {16, 8}}});
  FileSystem& files = FileSystem::Posix();
  const uint64_t size = ReadFile(files, sample.scan_path(), kFileMax)->size();
  int refused = 0;
  for (uint64_t at = 0; at < size; at += 4096) {  // sections begin at multiples of 4096
    const std::string path = sample.PathOf("damaged." + std::to_string(at));
    CopyDamaged(sample.scan_path(), path, at);
    const auto opened = OpenScan(files, path, sample.segment, sample.account);
    if (opened.ok()) continue;  // a byte between sections
    ++refused;
    EXPECT_EQ(opened.status().code(), absl::StatusCode::kDataLoss) << opened.status();
    EXPECT_THAT(std::string(opened.status().message()), HasSubstr("damaged."));
  }
  EXPECT_GE(refused, 8);  // header, rows, and three sections of two codes
}

// Blocks are 64 rows of the segment, not of a chunk.
TEST(ScanFile, IsTheSameHoweverRowsComeAndOnAnyNumberOfThreads) {
  const Sample sample({.rows = 500, .codes = {{8, 8}, {16, 8}, {48, 1}}});
  FileSystem& files = FileSystem::Posix();
  const std::string wanted = *ReadFile(files, sample.scan_path(), kFileMax);
  for (const uint32_t rows : {1u, 63u, 64u, 130u, 500u}) {
    const std::string path = sample.PathOf("again.idx");
    auto writer = ScanWriter::Create(files, path, sample.schema, 500, /*threads=*/3);
    ASSERT_TRUE(writer.ok()) << writer.status();
    const absl::Span<const float> all = sample.vectors;
    for (uint32_t row = 0; row < 500; row += rows) {
      const auto some = all.subspan(row * sample.schema.dim, rows * sample.schema.dim);
      ASSERT_TRUE((*writer)->Append(some).ok());
    }
    ASSERT_TRUE((*writer)->Finish(sample.segment->info()).ok());
    EXPECT_TRUE(ReadFile(files, path, kFileMax)->substr(4096) == wanted.substr(4096)) << rows;
    ASSERT_TRUE(files.Remove(path).ok());
  }
}

TEST(ScanFile, BelongsToOneSegment) {
  Sample sample({.rows = 130});
  const Sample other({.rows = 130});
  const auto opened =
      OpenScan(FileSystem::Posix(), other.scan_path(), sample.segment, sample.account);
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(opened.status().message()), HasSubstr("belongs to segment"));
}

TEST(ScanFile, IsNotWrittenForOtherRowsThanTheSegments) {
  const Sample sample({.rows = 130});
  auto writer =
      ScanWriter::Create(FileSystem::Posix(), sample.PathOf("short.idx"), sample.schema, 130);
  ASSERT_TRUE(writer.ok()) << writer.status();
  ASSERT_TRUE((*writer)->Append({sample.row(0), sample.schema.dim}).ok());
  const absl::Status status = (*writer)->Finish(sample.segment->info());
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), HasSubstr("1 rows were coded, the segment has 130"));
  writer->reset();
  EXPECT_FALSE(FileSystem::Posix().Exists(sample.PathOf("short.idx")));
}

TEST(ScanFile, ReservesItsMemoryFirst) {
  const Sample sample({.rows = 130});
  MemoryAccount small(1000);
  const auto opened = OpenScan(FileSystem::Posix(), sample.scan_path(), sample.segment, small);
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(opened.status().message()), HasSubstr("1000"));
  EXPECT_EQ(small.used_bytes(), 0);
  EXPECT_GE(sample.scan->memory_bytes(), 130 * (8 + 16 + 32));
}

}  // namespace
}  // namespace mrl::coarse
