#include "base/utf8.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace mrl {
namespace {

TEST(Utf8, WhatIsNoneIsReplacedByteByByte) {
  const std::pair<std::string, std::string> cases[] = {
      {"", ""},
      {"plain", "plain"},
      {std::string("a\0b", 3), std::string("a\0b", 3)},
      {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
      {"a\xc3", "a?"},
      {"\xe2\x82", "??"},
      {"\xf0\x9f\x98z", "???z"},
      {"\x80", "?"},
      {"\xc0\xaf", "??"},           // overlong
      {"\xed\xa0\x80", "???"},      // a surrogate
      {"\xf4\x90\x80\x80", "????"}  // above U+10FFFF
  };
  for (const auto& [text, replaced] : cases) {
    EXPECT_EQ(ToUtf8(text), replaced);
    EXPECT_EQ(IsUtf8(text), text == replaced) << replaced;
    EXPECT_TRUE(IsUtf8(ToUtf8(text)));
  }
}

}  // namespace
}  // namespace mrl
