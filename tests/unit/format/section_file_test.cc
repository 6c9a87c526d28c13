#include "index/format/section_file.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fault_file_system.h"
#include "tests/support/test_folder.h"

namespace mrl::format {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

absl::Span<const std::byte> Bytes(const std::string& text) {
  return AsBytes(absl::MakeConstSpan(text.data(), text.size()));
}

// No two places hold the same run of bytes, so that a wrong offset shows.
std::string Content(size_t bytes, int seed) {
  std::string text(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>(seed + i * 7 + i / 251);
  return text;
}

const std::vector<SectionSpec> kSpecs = {
    {.name = "levels", .bytes_max = 100'000, .page_bytes = 4096},
    {.name = "empty", .bytes_max = 10, .page_bytes = 4096},
    {.name = "payloads", .bytes_max = kUnbounded, .page_bytes = kSmallPageBytes},
    {.name = "heap", .bytes_max = kUnbounded}};

class SectionFile : public ::testing::Test {
 protected:
  SectionFile() : header_{FileKind::kSegment, NewUuid(), NewUuid(), 0x1122334455667788} {}

  absl::Status Write(FileSystem& files) {
    auto writer = SectionFileWriter::Create(files, path_, kSpecs);
    if (!writer.ok()) return writer.status();
    for (size_t at = 0; at < levels_.size(); at += 1000) {
      if (auto status = (*writer)->Append(0, Bytes(levels_.substr(at, 1000))); !status.ok()) {
        return status;
      }
      if (at >= payloads_.size()) continue;
      if (auto status = (*writer)->Append(2, Bytes(payloads_.substr(at, 1000))); !status.ok()) {
        return status;
      }
    }
    if (auto status = (*writer)->Append(3, Bytes(heap_)); !status.ok()) return status;
    return (*writer)->Finish(header_).status();
  }
  std::unique_ptr<SectionFileReader> Open() {
    auto reader = SectionFileReader::Open(files_, path_, FileKind::kSegment);
    EXPECT_TRUE(reader.ok()) << reader.status();
    return *std::move(reader);
  }
  static std::string Load(const SectionFileReader& reader, const std::string& section) {
    std::string text(reader.size(section), '\0');
    const absl::Status status = reader.Load(
        section, absl::MakeSpan(reinterpret_cast<std::byte*>(text.data()), text.size()));
    EXPECT_TRUE(status.ok()) << status;
    return text;
  }

  FileSystem& files_ = FileSystem::Posix();
  test::TestFolder folder_;
  const std::string path_ = folder_.Path("x.seg");
  const FileHeader header_;
  const std::string levels_ = Content(50'000, 1);
  const std::string payloads_ = Content(40'123, 2);
  const std::string heap_ = Content(77, 3);
};

TEST_F(SectionFile, GivesBackWhatWasWritten) {
  ASSERT_TRUE(Write(files_).ok());
  EXPECT_THAT(folder_.Names(), ElementsAre("x.seg"));
  const auto reader = Open();
  EXPECT_EQ(reader->header().uuid, header_.uuid);
  EXPECT_EQ(reader->header().bound_uuid, header_.bound_uuid);
  EXPECT_EQ(reader->header().schema_hash, header_.schema_hash);
  EXPECT_EQ(reader->file_bytes(), test::ReadBytes(path_).size());
  EXPECT_EQ(Load(*reader, "levels"), levels_);
  EXPECT_EQ(Load(*reader, "empty"), "");
  EXPECT_EQ(Load(*reader, "payloads"), payloads_);
  EXPECT_EQ(Load(*reader, "heap"), heap_);
  EXPECT_TRUE(reader->Has("empty"));
  EXPECT_FALSE(reader->Has("absent"));
  EXPECT_EQ(reader->size("absent"), 0u);
}

// Pages that come whole are written as they lie, others are gathered first.
TEST_F(SectionFile, IsTheSameHoweverSectionsAreCut) {
  ASSERT_TRUE(Write(files_).ok());
  const std::string wanted = test::ReadBytes(path_);
  for (const size_t cut : {1, 4096, 4097, 13'000, 50'000}) {
    auto writer = SectionFileWriter::Create(files_, path_, kSpecs);
    ASSERT_TRUE(writer.ok());
    for (size_t at = 0; at < levels_.size(); at += cut) {
      const std::string text = levels_.substr(at, cut);
      const auto piece = Bytes(text);
      ASSERT_TRUE((*writer)->Append(Pieces{{0, {piece.begin(), piece.end()}}}).ok());
    }
    ASSERT_TRUE((*writer)->Append(2, Bytes(payloads_)).ok());
    ASSERT_TRUE((*writer)->Append(3, Bytes(heap_)).ok());
    ASSERT_TRUE((*writer)->Finish(header_).ok());
    EXPECT_EQ(test::ReadBytes(path_), wanted) << cut;
  }
}

TEST_F(SectionFile, ReadsAnyRange) {
  ASSERT_TRUE(Write(files_).ok());
  const auto reader = Open();
  for (const auto& [offset, bytes] : std::vector<std::pair<size_t, size_t>>{
           {0, 0}, {0, 1}, {4095, 2}, {5000, 20'000}, {40'122, 1}, {40'123, 0}, {0, 40'123}}) {
    std::string text(bytes, '\0');
    const auto out = absl::MakeSpan(reinterpret_cast<std::byte*>(text.data()), text.size());
    ASSERT_TRUE(reader->Read("payloads", offset, out).ok()) << offset;
    EXPECT_EQ(text, payloads_.substr(offset, bytes)) << offset;
  }
}

TEST_F(SectionFile, RefusesRangesAndSizesThatAreNotThere) {
  ASSERT_TRUE(Write(files_).ok());
  const auto reader = Open();
  std::vector<std::byte> out(2);
  for (const uint64_t offset : {uint64_t{40'122}, uint64_t{50'000}, ~uint64_t{0}}) {
    const absl::Status status = reader->Read("payloads", offset, absl::MakeSpan(out));
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(status.message(), HasSubstr("x.seg: payloads: 2 bytes at"));
  }
  EXPECT_THAT(reader->Load("levels", absl::MakeSpan(out)).message(),
              HasSubstr("levels: the section has 50000 bytes; 2 are needed"));
  EXPECT_THAT(reader->Load("absent", absl::MakeSpan(out)).message(),
              HasSubstr("absent: the section is missing"));
}

TEST_F(SectionFile, ReportsProgressOfEveryByte) {
  ASSERT_TRUE(Write(files_).ok());
  uint64_t bytes = 0;
  ASSERT_TRUE(Open()->VerifyAll([&](absl::string_view, uint64_t done) { bytes += done; }).ok());
  EXPECT_EQ(bytes, levels_.size() + payloads_.size() + heap_.size());
}

TEST_F(SectionFile, LeavesNothingWithoutFinish) {
  {
    auto writer = SectionFileWriter::Create(files_, path_, kSpecs);
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE((*writer)->Append(0, Bytes(levels_)).ok());
    EXPECT_THAT(folder_.Names(), ElementsAre(".tmp-x.seg"));
  }
  EXPECT_THAT(folder_.Names(), IsEmpty());
}

TEST_F(SectionFile, KeepsASectionInItsSpace) {
  auto writer = SectionFileWriter::Create(files_, path_, kSpecs);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE((*writer)->Append(1, Bytes("0123456789")).ok());
  const absl::Status status = (*writer)->Append(1, Bytes("x"));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("x.seg: section empty outgrows its 10 bytes"));
}

TEST_F(SectionFile, EndsAnUnboundedSectionWhenTheNextBegins) {
  auto writer = SectionFileWriter::Create(files_, path_, kSpecs);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE((*writer)->Append(2, Bytes(payloads_)).ok());
  ASSERT_TRUE((*writer)->Append(3, Bytes(heap_)).ok());
  EXPECT_THAT((*writer)->Append(2, Bytes("x")).message(),
              HasSubstr("section payloads outgrows its 40123 bytes"));
}

TEST_F(SectionFile, LeavesNothingWhicheverOperationFails) {
  test::FaultFileSystem counted;
  ASSERT_TRUE(Write(counted).ok());
  ASSERT_TRUE(files_.Remove(path_).ok());
  ASSERT_GT(counted.operations(), 10u);
  for (uint64_t n = 1; n <= counted.operations(); ++n) {
    test::FaultFileSystem faulty;
    faulty.FailAt(n, absl::InternalError("fault"));
    EXPECT_EQ(Write(faulty), absl::InternalError("fault")) << n;
    EXPECT_THAT(folder_.Names(), IsEmpty()) << n;
  }
}

TEST_F(SectionFile, NamesAMissingFile) {
  const auto reader = SectionFileReader::Open(files_, path_, FileKind::kSegment);
  EXPECT_EQ(reader.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(reader.status().message(), HasSubstr("x.seg: the file is missing"));
}

TEST(Uuid, DiffersEachTime) {
  const std::string uuid = NewUuid();
  EXPECT_EQ(uuid.size(), 32u);
  EXPECT_NE(uuid, NewUuid());
}

}  // namespace
}  // namespace mrl::format
