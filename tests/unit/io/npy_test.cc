#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "index/io/embeddings.h"
#include "tests/fuzz/memory_file.h"
#include "tests/unit/io/file_bytes.h"

namespace mrl::io {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::vector<float> kSixFloats = {1, 2, 3, 4, 5, 6};

absl::StatusOr<std::unique_ptr<EmbeddingReader>> Open(const std::string& bytes) {
  return OpenEmbeddings(std::make_unique<MemoryFile>(bytes), "a.npy");
}

void ExpectRefused(const std::string& bytes, const std::string& message) {
  const auto reader = Open(bytes);
  EXPECT_EQ(reader.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(reader.status().message()), HasSubstr(message));
  EXPECT_THAT(std::string(reader.status().message()), HasSubstr("a.npy"));
}

void ExpectDictionaryRefused(const std::string& dictionary, const std::string& message) {
  ExpectRefused(NpyBytes(dictionary, BytesOf(kSixFloats)), message);
}

TEST(Npy, EveryVersionIsRead) {
  for (const int major : {1, 2, 3}) {
    const auto reader = Open(NpyBytes(NpyDictionary("<f4", "(2, 3)"), BytesOf(kSixFloats), major));
    ASSERT_TRUE(reader.ok()) << reader.status();
    EXPECT_EQ((*reader)->rows(), 2u);
    EXPECT_EQ((*reader)->dims(), 3u);
    EXPECT_EQ((*reader)->format(), "npy f32");
    std::vector<float> row(3);
    ASSERT_TRUE((*reader)->Read(1, absl::MakeSpan(row)).ok());
    EXPECT_THAT(row, ElementsAre(4, 5, 6));
  }
}

TEST(Npy, HalvesAreReadAsFloats) {
  const auto reader = Open(NpyBytes(NpyDictionary("<f2", "(2, 2)"),
                                    BytesOf(std::vector<uint16_t>{0x3c00, 0xc000, 0, 0x3800})));
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ((*reader)->format(), "npy f16");
  std::vector<float> rows(4);
  ASSERT_TRUE((*reader)->Read(0, absl::MakeSpan(rows)).ok());
  EXPECT_THAT(rows, ElementsAre(1.0F, -2.0F, 0.0F, 0.5F));
}

TEST(Npy, KeysMayComeInAnyOrderAndQuotes) {
  const auto reader =
      Open(NpyBytes(R"({"shape":(2,3),"fortran_order":False,"descr":"<f4"})", BytesOf(kSixFloats)));
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ((*reader)->rows(), 2u);
}

TEST(Npy, AFileWithoutRowsIsRead) {
  const auto reader = Open(NpyBytes(NpyDictionary("<f4", "(0, 3)"), ""));
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ((*reader)->rows(), 0u);
}

TEST(Npy, WhatIsNoNpyFileIsRefused) {
  ExpectRefused("", "the file is empty");
  ExpectRefused("{\"a\": 1}, and so on", "this is not an npy file");
  ExpectRefused("\x93NUM", "this is not an npy file");
  std::string fourth = NpyBytes(NpyDictionary("<f4", "(2, 3)"), BytesOf(kSixFloats));
  fourth[6] = 4;
  ExpectRefused(fourth, "npy version 4; 1 to 3 are read");
}

TEST(Npy, AFileCutAnywhereIsRefused) {
  const std::string whole = NpyBytes(NpyDictionary("<f4", "(2, 3)"), BytesOf(kSixFloats));
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(Open(whole.substr(0, size)).status().code(), absl::StatusCode::kInvalidArgument)
        << size;
  }
  ExpectRefused(whole.substr(0, 11), "the npy header is cut short");
  ExpectRefused(whole.substr(0, 60), "the npy header is cut short");
}

TEST(Npy, MoreRowsThanTheFileHasAreRefused) {
  ExpectDictionaryRefused(NpyDictionary("<f4", "(3, 3)"),
                          "it promises 36 bytes of data; the file has 24");
  ExpectDictionaryRefused(NpyDictionary("<f4", "(4611686018427387904, 8)"), "the shape overflows");
  ExpectDictionaryRefused(NpyDictionary("<f4", "(99999999999999999999, 8)"), "shape has '9999");
}

TEST(Npy, OtherTypesAreRefused) {
  ExpectDictionaryRefused(NpyDictionary("<f8", "(2, 3)"),
                          "has dtype <f8; one of <f4, <f2 is needed");
  ExpectDictionaryRefused(NpyDictionary("|u1", "(2, 3)"), "has dtype |u1");
  ExpectDictionaryRefused(NpyDictionary(">f4", "(2, 3)"), "has dtype >f4 (big-endian)");
  ExpectDictionaryRefused(NpyDictionary("|O", "(2, 3)"), "has dtype |O (an object array)");
  ExpectDictionaryRefused("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (6,), }",
                          "the dtype is a structure");
}

TEST(Npy, FortranOrderIsRefused) {
  ExpectDictionaryRefused(NpyDictionary("<f4", "(2, 3)", "True"), "is in Fortran order");
}

TEST(Npy, OtherThanTwoAxesAreRefused) {
  ExpectDictionaryRefused(NpyDictionary("<f4", "()"), "has 0 axes; 2 are needed");
  ExpectDictionaryRefused(NpyDictionary("<f4", "(6,)"), "has 1 axes; 2 are needed");
  ExpectDictionaryRefused(NpyDictionary("<f4", "(1, 2, 3)"), "has 3 axes; 2 are needed");
}

TEST(Npy, DimensionsOutOfRangeAreRefused) {
  ExpectDictionaryRefused(NpyDictionary("<f4", "(6, 0)"), "has 0 dimensions; 1 to 65536");
  ExpectDictionaryRefused(NpyDictionary("<f4", "(0, 65537)"), "has 65537 dimensions; 1 to 65536");
}

TEST(Npy, DictionariesThatNumpyDoesNotWriteAreRefused) {
  ExpectDictionaryRefused("", "the dictionary is missing");
  ExpectDictionaryRefused("{'descr': '<f4', 'shape': (2, 3), }",
                          "descr, fortran_order and shape are needed, once each");
  ExpectDictionaryRefused("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (6,)}",
                          "once each");
  ExpectDictionaryRefused("{'descr': '<f4', 'order': 'C', }", "unknown key 'order'");
  ExpectDictionaryRefused("{'descr' '<f4'}", "a ':' is missing");
  ExpectDictionaryRefused("{descr: '<f4'}", "a quoted name is missing");
  ExpectDictionaryRefused("{'descr': '<f4' 'shape': (2, 3)}", "it is cut short");
  ExpectDictionaryRefused(NpyDictionary("<f4", "(2, 3)", "Maybe"), "neither True nor False");
  ExpectDictionaryRefused(NpyDictionary("<f4", "[2, 3]"), "shape is not a tuple");
  ExpectDictionaryRefused(NpyDictionary("<f4", "(2,, 3)"), "shape has ''");
  ExpectDictionaryRefused(NpyDictionary("<f4", "(-2, 3)"), "shape has '-2'");
  ExpectDictionaryRefused(NpyDictionary("<f4", "(2, 3)") + " {}",
                          "something follows the dictionary");
}

TEST(Npy, AHeaderBeyondTheLimitIsRefused) {
  const std::string long_header = std::string(70'000, ' ') + NpyDictionary("<f4", "(2, 3)");
  ExpectRefused(NpyBytes(long_header, BytesOf(kSixFloats), 2), "bytes; 65536 are allowed");
}

}  // namespace
}  // namespace mrl::io
