// fvecs and fbin files, and the choice of a format.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "index/io/embeddings.h"
#include "tests/fuzz/memory_file.h"
#include "tests/unit/io/file_bytes.h"

namespace mrl::io {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<std::unique_ptr<EmbeddingReader>> Open(const std::string& bytes,
                                                      const std::string& name) {
  return OpenEmbeddings(std::make_unique<MemoryFile>(bytes), name);
}

void ExpectRefused(const absl::Status& status, const std::string& message) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr(message));
}

std::string FvecsRow(int32_t dims, const std::vector<float>& values) {
  return BytesOf(std::vector<int32_t>{dims}) + BytesOf(values);
}

std::string Fbin(uint32_t rows, uint32_t dims, const std::vector<float>& values) {
  return BytesOf(std::vector<uint32_t>{rows, dims}) + BytesOf(values);
}

TEST(Fvecs, RowsAreRead) {
  const auto reader = Open(FvecsRow(2, {1, 2}) + FvecsRow(2, {3, 4}), "a.fvecs");
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ((*reader)->rows(), 2u);
  EXPECT_EQ((*reader)->format(), "fvecs f32");
  std::vector<float> rows(4);
  ASSERT_TRUE((*reader)->Read(0, absl::MakeSpan(rows)).ok());
  EXPECT_THAT(rows, ElementsAre(1, 2, 3, 4));
}

TEST(Fvecs, ARowOfAnotherDimensionIsNamed) {
  const auto reader = Open(FvecsRow(2, {1, 2}) + FvecsRow(3, {3, 4}), "a.fvecs");
  ASSERT_TRUE(reader.ok()) << reader.status();
  std::vector<float> rows(4);
  ExpectRefused((*reader)->Read(0, absl::MakeSpan(rows)),
                "a.fvecs: row 1 has 3 dimensions; row 0 has 2");
}

TEST(Fvecs, BadFilesAreRefused) {
  ExpectRefused(Open("", "a.fvecs").status(), "a.fvecs is empty");
  ExpectRefused(Open(FvecsRow(0, {}), "a.fvecs").status(), "has 0 dimensions; 1 to 65536");
  ExpectRefused(Open(FvecsRow(-1, {}), "a.fvecs").status(), "has -1 dimensions; 1 to 65536");
  ExpectRefused(Open(FvecsRow(2, {1, 2}) + "x", "a.fvecs").status(),
                "has 13 bytes, not a multiple of a row's 12");
}

TEST(Fbin, RowsAreRead) {
  const auto reader = Open(Fbin(3, 1, {7, 8, 9}), "a.fbin");
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ((*reader)->rows(), 3u);
  EXPECT_EQ((*reader)->format(), "fbin f32");
  std::vector<float> rows(2);
  ASSERT_TRUE((*reader)->Read(1, absl::MakeSpan(rows)).ok());
  EXPECT_THAT(rows, ElementsAre(8, 9));
}

TEST(Fbin, BadFilesAreRefused) {
  ExpectRefused(Open("1234567", "a.fbin").status(), "the fbin header is cut short");
  ExpectRefused(Open(Fbin(1, 0, {}), "a.fbin").status(), "has 0 dimensions");
  ExpectRefused(Open(Fbin(3, 2, {1, 2}), "a.fbin").status(),
                "promises 3 rows of 2 dimensions, 24 bytes; the file has 8");
  ExpectRefused(Open(Fbin(1, 1, {1, 2}), "a.fbin").status(), "4 bytes; the file has 8");
}

TEST(Embeddings, AnUnknownSuffixIsRefused) {
  ExpectRefused(Open("anything", "a.csv").status(),
                "a.csv: the suffix is unknown; .npy, .fvecs and .fbin are read");
}

TEST(Embeddings, AMissingFileIsNamed) {
  const auto reader = OpenEmbeddings(FileSystem::Posix(), "missing/a.npy");
  EXPECT_EQ(reader.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(reader.status().message()), HasSubstr("missing/a.npy"));
}

}  // namespace
}  // namespace mrl::io
