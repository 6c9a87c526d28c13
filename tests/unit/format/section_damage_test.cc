// Damaged and hostile section files, in memory: every change must be refused with the part's name.
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/checksum.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/format/section_file.h"
#include "index/format/wire.h"
#include "tests/fuzz/memory_file.h"
#include "tests/support/test_folder.h"

namespace mrl::format {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using H = HeaderLayout;

std::byte* Data(std::string& bytes) { return reinterpret_cast<std::byte*>(bytes.data()); }

void MendHeader(std::string& bytes) {
  PutLittleEndian<uint64_t>(Checksum(bytes.data(), H::kChecksumAt), Data(bytes) + H::kChecksumAt);
}

uint64_t HeaderNumber(std::string& bytes, size_t at) {
  return GetLittleEndian<uint64_t>(Data(bytes) + at);
}

// A file whose table was changed on purpose, by someone who can compute checksums.
void MendTable(std::string& bytes) {
  const uint64_t table = HeaderNumber(bytes, H::kTableOffsetAt);
  PutLittleEndian<uint64_t>(bytes.size(), Data(bytes) + H::kFileBytesAt);
  PutLittleEndian<uint64_t>(bytes.size() - table, Data(bytes) + H::kTableBytesAt);
  PutLittleEndian<uint64_t>(Checksum(bytes.data() + table, bytes.size() - table),
                            Data(bytes) + H::kTableChecksumAt);
  MendHeader(bytes);
}

absl::Status OpenAndVerify(const std::string& bytes, FileKind kind = FileKind::kSegment) {
  auto reader = SectionFileReader::Open(std::make_unique<MemoryFile>(bytes), "x.seg", kind);
  if (!reader.ok()) return reader.status();
  return (*reader)->VerifyAll({});
}

class DamagedSectionFile : public ::testing::Test {
 protected:
  DamagedSectionFile() {
    test::TestFolder folder;
    auto writer = SectionFileWriter::Create(
        FileSystem::Posix(), folder.Path("x.seg"),
        {{.name = "first", .bytes_max = 6000, .page_bytes = 4096},
         {.name = "second", .bytes_max = kUnbounded, .page_bytes = 4096}});
    const std::string text(5000, 'x');
    const auto span = AsBytes(absl::MakeConstSpan(text.data(), text.size()));
    EXPECT_TRUE((*writer)->Append(0, span).ok());
    EXPECT_TRUE((*writer)->Append(1, span.subspan(0, 300)).ok());
    const std::string uuid = NewUuid();
    EXPECT_TRUE((*writer)->Finish({FileKind::kSegment, uuid, uuid, 1}).ok());
    bytes_ = test::ReadBytes(folder.Path("x.seg"));
    table_ = HeaderNumber(bytes_, H::kTableOffsetAt);
  }

  // Changes one number of the table's entry `section`, and mends all checksums.
  absl::Status WithEntry(size_t section, size_t at, uint64_t value) {
    std::string bytes = bytes_;
    PutLittleEndian<uint64_t>(value, Data(bytes) + table_ + 8 + section * EntryLayout::kBytes + at);
    MendTable(bytes);
    return OpenAndVerify(bytes);
  }
  absl::Status WithHeader(size_t at, uint64_t value) {
    std::string bytes = bytes_;
    PutLittleEndian<uint64_t>(value, Data(bytes) + at);
    MendHeader(bytes);
    return OpenAndVerify(bytes);
  }
  void ExpectFlipsFound(uint64_t begin, uint64_t end, const std::string& part) {
    for (uint64_t at = begin; at < end; ++at) {
      std::string bytes = bytes_;
      bytes[at] ^= 0x04;
      const absl::Status status = OpenAndVerify(bytes);
      ASSERT_EQ(status.code(), absl::StatusCode::kDataLoss) << at << ": " << status;
      ASSERT_THAT(status.message(), HasSubstr("x.seg: " + part)) << at;
    }
  }

  std::string bytes_;
  uint64_t table_ = 0;
};

TEST_F(DamagedSectionFile, IsFineBefore) { EXPECT_TRUE(OpenAndVerify(bytes_).ok()); }

TEST_F(DamagedSectionFile, NamesThePartOfEveryFlippedByte) {
  ExpectFlipsFound(0, H::kBytes, "header");
  ExpectFlipsFound(4096, 4096 + 5000, "first: page");
  ExpectFlipsFound(table_ - 300, table_, "second: page 0");
  ExpectFlipsFound(table_, bytes_.size(), "section table");
}

TEST_F(DamagedSectionFile, IsRefusedAtEveryLength) {
  for (size_t bytes = 0; bytes < bytes_.size(); bytes += bytes < 200 ? 1 : 97) {
    const absl::Status status = OpenAndVerify(bytes_.substr(0, bytes));
    ASSERT_EQ(status.code(), absl::StatusCode::kDataLoss) << bytes << ": " << status;
    ASSERT_THAT(status.message(), HasSubstr("x.seg: header: the file has")) << bytes;
  }
  EXPECT_THAT(OpenAndVerify(bytes_ + "x").message(), HasSubstr("are promised"));
}

TEST_F(DamagedSectionFile, RefusesANewerVersionByName) {
  std::string bytes = bytes_;
  PutLittleEndian<uint32_t>(2, Data(bytes) + H::kVersionAt);
  MendHeader(bytes);
  const absl::Status status = OpenAndVerify(bytes);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(),
            "x.seg has format version 2; this program reads up to 1: use a newer one");
}

TEST_F(DamagedSectionFile, RefusesAnotherKind) {
  const absl::Status status = OpenAndVerify(bytes_, FileKind::kScan);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(status.message(),
              HasSubstr("this is a segment file; a scan codes file was expected"));
  EXPECT_THAT(OpenAndVerify(std::string(5000, 'a')).message(), HasSubstr("not a file of mrl"));
}

TEST_F(DamagedSectionFile, BelievesNoSizeOfTheHeader) {
  for (const uint64_t value : {uint64_t{0}, table_ + 1, uint64_t{1} << 40, ~uint64_t{0}}) {
    for (const size_t at : {H::kTableOffsetAt, H::kTableBytesAt, H::kFileBytesAt}) {
      const absl::Status status = WithHeader(at, value);
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << at << " " << value;
      EXPECT_THAT(status.message(), AnyOf(HasSubstr("header"), HasSubstr("section table")));
    }
  }
}

TEST_F(DamagedSectionFile, BelievesNoSizeOfTheTable) {
  for (const uint64_t value : {uint64_t{1} << 20, uint64_t{1} << 62, ~uint64_t{0}}) {
    EXPECT_THAT(WithEntry(0, EntryLayout::kSizeAt, value).message(), HasSubstr("section table"));
    EXPECT_THAT(WithEntry(0, EntryLayout::kOffsetAt, value).message(), HasSubstr("its place"));
  }
  for (const uint64_t value : {uint64_t{0}, uint64_t{4095}, uint64_t{1} << 25, ~uint64_t{0}}) {
    EXPECT_THAT(WithEntry(1, EntryLayout::kPageBytesAt, value).message(),
                HasSubstr(absl::StrCat("section table: a page of ", value)));
  }
  EXPECT_THAT(WithEntry(1, EntryLayout::kOffsetAt, 4096).message(), HasSubstr("overlaps another"));
  EXPECT_THAT(WithEntry(0, EntryLayout::kOffsetAt, 8).message(), HasSubstr("overlaps another"));
  EXPECT_THAT(WithEntry(0, EntryLayout::kNameAt, 0).message(), HasSubstr("a name is empty"));
}

TEST_F(DamagedSectionFile, BelievesNoNumberOfSections) {
  for (const uint64_t count : {uint64_t{0}, uint64_t{1}, uint64_t{3}, uint64_t{1} << 59}) {
    std::string bytes = bytes_;
    PutLittleEndian<uint64_t>(count, Data(bytes) + table_);
    MendTable(bytes);
    const absl::Status status = OpenAndVerify(bytes);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << count;
    EXPECT_THAT(status.message(), HasSubstr("x.seg: section table")) << count;
  }
}

TEST_F(DamagedSectionFile, NamesASectionThatIsThereTwice) {
  std::string bytes = bytes_;
  bytes.replace(table_ + 8 + EntryLayout::kBytes, 7, std::string("first\0\0", 7));
  MendTable(bytes);
  EXPECT_THAT(OpenAndVerify(bytes).message(), HasSubstr("there twice"));
}

// The disk may lose the end of a file while it is open.
TEST_F(DamagedSectionFile, SaysWhenItWasCutShortAfterOpen) {
  test::TestFolder folder;
  const std::string path = folder.Path("x.seg");
  test::WriteBytes(path, bytes_);
  const auto reader = SectionFileReader::Open(FileSystem::Posix(), path, FileKind::kSegment);
  ASSERT_TRUE(reader.ok()) << reader.status();
  test::WriteBytes(path, bytes_.substr(0, 5000));
  const absl::Status status = (*reader)->VerifyAll({});
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("first: the file was cut short after it was opened"));
}

}  // namespace
}  // namespace mrl::format
