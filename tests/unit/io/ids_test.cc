#include "index/io/ids.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/io/file_bytes.h"

namespace mrl::io {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Ids : public ::testing::Test {
 protected:
  absl::StatusOr<IdRows> ReadNpy(const std::string& descr, const std::string& shape,
                                 const std::vector<int64_t>& values) {
    const std::string path =
        folder_.Write("ids.npy", NpyBytes(NpyDictionary(descr, shape), BytesOf(values)));
    const auto ids = OpenIds(FileSystem::Posix(), path);
    if (!ids.ok()) return ids.status();
    return (*ids)->Read(10);
  }
  static void ExpectRefused(const absl::Status& status, const std::string& message) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  }

  Folder folder_;
};

TEST_F(Ids, TextIsAnIdALine) {
  const auto ids = OpenIds(FileSystem::Posix(), folder_.Write("ids.txt", "dog.n.01\r\n17\ncat"));
  ASSERT_TRUE(ids.ok()) << ids.status();
  const auto first = (*ids)->Read(2);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_THAT(first->texts, ElementsAre("dog.n.01", "17"));
  EXPECT_THAT(first->numbers, IsEmpty());
  const auto rest = (*ids)->Read(2);
  ASSERT_TRUE(rest.ok()) << rest.status();
  EXPECT_THAT(rest->texts, ElementsAre("cat"));
}

TEST_F(Ids, NpyGivesNumbersByChunks) {
  const std::string path = folder_.Write(
      "ids.npy", NpyBytes(NpyDictionary("<i8", "(3,)"), BytesOf(std::vector<int64_t>{5, 0, 9})));
  const auto ids = OpenIds(FileSystem::Posix(), path);
  ASSERT_TRUE(ids.ok()) << ids.status();
  EXPECT_THAT((*ids)->Read(2)->numbers, ElementsAre(5, 0));
  EXPECT_THAT((*ids)->Read(2)->numbers, ElementsAre(9));
  EXPECT_EQ((*ids)->Read(2)->size(), 0u);
}

TEST_F(Ids, UnsignedNpyKeepsLargeNumbers) {
  const auto ids = ReadNpy("<u8", "(1,)", {-1});
  ASSERT_TRUE(ids.ok()) << ids.status();
  EXPECT_THAT(ids->numbers, ElementsAre(~uint64_t{0}));
}

TEST_F(Ids, NegativeNumbersAreRefused) {
  ExpectRefused(ReadNpy("<i8", "(3,)", {5, 4, -3}).status(), "row 2 has the id -3; 0 is the least");
}

TEST_F(Ids, OtherNpyFilesAreRefused) {
  ExpectRefused(ReadNpy("<i4", "(2,)", {1}).status(), "has dtype <i4; one of <u8, <i8 is needed");
  ExpectRefused(ReadNpy("<i8", "(1, 1)", {1}).status(), "has 2 axes; ids have 1");
  ExpectRefused(ReadNpy("<i8", "(2,)", {1}).status(),
                "it promises 16 bytes of data; the file has 8");
}

}  // namespace
}  // namespace mrl::io
