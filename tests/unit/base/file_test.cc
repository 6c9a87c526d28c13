#include "base/file.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mrl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::Span<const std::byte> Bytes(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

class PosixFile : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = JoinPath(::testing::TempDir(),
                       ::testing::UnitTest::GetInstance()->current_test_info()->name());
    ASSERT_TRUE(files_.RemoveTree(folder_).ok());
    ASSERT_TRUE(files_.CreateDirectory(folder_).ok());
  }
  void TearDown() override { ASSERT_TRUE(files_.RemoveTree(folder_).ok()); }

  std::string Path(absl::string_view name) const { return JoinPath(folder_, name); }
  void Write(absl::string_view name, const std::string& text) {
    auto file = files_.Create(Path(name));
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE((*file)->WriteAt(0, Bytes(text)).ok());
    ASSERT_TRUE((*file)->Sync().ok());
    ASSERT_TRUE((*file)->Close().ok());
  }
  std::string Read(absl::string_view name) { return *ReadFile(files_, Path(name), 1 << 20); }

  FileSystem& files_ = FileSystem::Posix();
  std::string folder_;
};

TEST_F(PosixFile, ReadsBackWhatWasWritten) {
  Write("a", "hello");
  EXPECT_EQ(Read("a"), "hello");
}

TEST_F(PosixFile, DoesNotReplaceByCreate) {
  Write("a", "x");
  EXPECT_EQ(files_.Create(Path("a")).status().code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(PosixFile, SaysWhereAFileEnds) {
  Write("a", "12345");
  const auto file = files_.Open(Path("a"));
  std::vector<std::byte> out(4);
  const absl::Status status = (*file)->ReadAt(3, absl::MakeSpan(out));
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the file ends at byte 5"));
}

TEST_F(PosixFile, ExchangesTwoNames) {
  Write("a", "1");
  Write("b", "2");
  ASSERT_TRUE(files_.Exchange(Path("a"), Path("b")).ok());
  EXPECT_EQ(Read("a"), "2");
  EXPECT_EQ(Read("b"), "1");
}

TEST_F(PosixFile, ListsSortedNames) {
  Write("b", "");
  Write("a", "");
  EXPECT_THAT(*files_.List(folder_), ElementsAre("a", "b"));
}

TEST_F(PosixFile, NamesAMissingFileAndRefusesAFolder) {
  EXPECT_EQ(files_.Open(Path("none")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(files_.Open(Path("none")).status().message()), HasSubstr(Path("none")));
  EXPECT_EQ(files_.Open(folder_).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(PosixFile, BoundsAWholeRead) {
  Write("a", "123456");
  const auto text = ReadFile(files_, Path("a"), 5);
  EXPECT_EQ(text.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(text.status().message()), HasSubstr("has 6 bytes; the limit is 5"));
}

TEST(Path, JoinsAndSplits) {
  EXPECT_EQ(JoinPath("a", "b"), "a/b");
  EXPECT_EQ(JoinPath("a/", "b"), "a/b");
  EXPECT_EQ(ParentPath("a/b/"), "a");
  EXPECT_EQ(ParentPath("a"), ".");
  EXPECT_EQ(ParentPath("/a"), "/");
}

}  // namespace
}  // namespace mrl
