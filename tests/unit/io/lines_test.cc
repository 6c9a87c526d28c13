#include "index/io/lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/io/file_bytes.h"

namespace mrl::io {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

void ExpectRefused(const absl::Status& status, const std::string& message) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr(message));
}

class Lines : public ::testing::Test {
 protected:
  std::unique_ptr<LineReader> Open(const std::string& bytes) {
    return *LineReader::Open(FileSystem::Posix(), folder_.Write("lines.jsonl", bytes));
  }
  absl::StatusOr<std::vector<std::string>> ReadAll(const std::string& bytes) {
    const auto lines = Open(bytes);
    std::vector<std::string> all;
    std::string line;
    while (true) {
      const absl::StatusOr<bool> more = lines->Next(&line);
      if (!more.ok()) return more.status();
      if (!*more) return all;
      all.push_back(line);
    }
  }

  Folder folder_;
};

TEST_F(Lines, EndsMayBeEitherKindOrMissing) {
  EXPECT_THAT(*ReadAll("a\nb\r\n\nc"), ElementsAre("a", "b", "", "c"));
  EXPECT_THAT(*ReadAll("a\n"), ElementsAre("a"));
  EXPECT_THAT(*ReadAll(""), IsEmpty());
}

// Longer than what is read at a time, so that lines straddle reads.
TEST_F(Lines, ManyAndLongLinesComeWhole) {
  std::string bytes;
  std::vector<std::string> expected;
  for (size_t i = 0; i < 40; ++i) {
    expected.push_back(std::string(i * 997 * 20, static_cast<char>('a' + i % 26)));
    bytes += expected.back() + "\n";
  }
  EXPECT_EQ(*ReadAll(bytes), expected);
}

TEST_F(Lines, TheLimitOfALineIsExact) {
  const std::string longest(LineReader::kLineBytesMax, 'x');
  EXPECT_THAT(*ReadAll("a\n" + longest + "\nb"), ElementsAre("a", longest, "b"));
  ExpectRefused(ReadAll("a\n" + longest + "x\nb").status(),
                "line 2: it is longer than 1048576 bytes");
  ExpectRefused(ReadAll(std::string(3 << 20, 'x')).status(), "line 1: it is longer than");
}

class JsonLines : public Lines {
 protected:
  absl::StatusOr<JsonRows> Read(const std::string& bytes, const std::string& id_field = "") {
    const auto lines = Open(bytes);
    return ReadJsonRows(*lines, 100, id_field);
  }
};

TEST_F(JsonLines, ObjectsComeAsCompactTexts) {
  const auto rows = Read("{ \"text\" : \"caf\xc3\xa9\", \"n\": [1, 2.5] }\n{}\n");
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_THAT(rows->texts, ElementsAre("{\"n\":[1,2.5],\"text\":\"caf\xc3\xa9\"}", "{}"));
  EXPECT_THAT(rows->id_texts, IsEmpty());
}

TEST_F(JsonLines, AFieldGivesIds) {
  const auto rows = Read("{\"id\":\"dog\"}\n{\"id\":18446744073709551615}", "id");
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_THAT(rows->id_texts, ElementsAre("dog", "18446744073709551615"));
  EXPECT_THAT(rows->id_is_number, ElementsAre(false, true));
}

TEST_F(JsonLines, AFieldThatIsNoIdIsRefused) {
  ExpectRefused(Read("{\"id\":1}\n{\"no\":1}", "id").status(), "line 2: the field 'id' is missing");
  for (const char* value : {"-1", "1.5", "null", "[1]", "18446744073709551616"}) {
    ExpectRefused(Read(std::string("{\"id\":") + value + "}", "id").status(),
                  "line 1: the field 'id' is neither a string nor a whole number >= 0");
  }
}

TEST_F(JsonLines, WhatIsNoObjectIsRefused) {
  ExpectRefused(Read("{}\n[1]").status(), "line 2: it is not a JSON object");
  for (const char* line : {"{", "\n", "{} {}", "{\"a\":nan}", "{\"a\":\"\xff\"}", "{'a':1}"}) {
    ExpectRefused(Read(line).status(), "line 1: it is not valid JSON");
  }
}

TEST_F(JsonLines, DepthIsBounded) {
  const auto nested = [](size_t depth) {
    return "{\"a\":" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}";
  };
  EXPECT_TRUE(Read(nested(64)).ok());
  ExpectRefused(Read(nested(65)).status(), "line 1: values stand more than 64 levels deep");
  ExpectRefused(Read(nested(500'000)).status(), "levels deep");
  EXPECT_TRUE(Read("{\"a\":\"\\\"" + std::string(100, '[') + "\"}").ok());
}

TEST_F(JsonLines, CountBoundsWhatIsRead) {
  const auto lines = Open("{}\n{}\n{}");
  EXPECT_EQ(ReadJsonRows(*lines, 2, "")->texts.size(), 2u);
  EXPECT_EQ(ReadJsonRows(*lines, 2, "")->texts.size(), 1u);
  EXPECT_EQ(ReadJsonRows(*lines, 2, "")->texts.size(), 0u);
}

}  // namespace
}  // namespace mrl::io
