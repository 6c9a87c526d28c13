#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/filter/payload_values.h"

namespace mrl::filter {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::vector<Field> kFields = {
    {"word", FieldType::kKeyword}, {"n", FieldType::kInt},
    {"x", FieldType::kFloat},      {"flag", FieldType::kBool},
    {"at", FieldType::kDatetime},  {"author.name", FieldType::kKeyword}};

TEST(PayloadValues, AreReadByType) {
  const auto values = ReadValues(kFields, R"({"word": "Dog", "n": -7, "x": 2, "flag": true,
      "at": "1970-01-01T00:00:01.5Z", "author": {"name": ["b", "a", "b"]}, "more": {"n": 1}})");
  ASSERT_TRUE(values.ok()) << values.status();
  EXPECT_THAT((*values)[0], ElementsAre(Value{.text = "Dog"}));
  EXPECT_THAT((*values)[1], ElementsAre(Value{.key = -7}));
  EXPECT_THAT((*values)[2], ElementsAre(Value{.key = OrderedKey(2.0)}));
  EXPECT_THAT((*values)[3], ElementsAre(Value{.key = 1}));
  EXPECT_THAT((*values)[4], ElementsAre(Value{.key = 1'500'000}));
  EXPECT_THAT((*values)[5], ElementsAre(Value{.text = "a"}, Value{.text = "b"}));
}

TEST(PayloadValues, AreNoneWhereNothingIsThere) {
  for (const std::string payload : {"", "{}", R"({"word": null, "author": 3, "at": []})"}) {
    const auto values = ReadValues(kFields, payload);
    ASSERT_TRUE(values.ok()) << values.status();
    for (const auto& field : *values) EXPECT_THAT(field, IsEmpty()) << payload;
  }
}

TEST(PayloadValues, OfAnotherTypeAreRefused) {
  const std::string long_word(Field::kKeywordBytesMax + 1, 'x');
  std::string many = "0";
  for (size_t i = 0; i < Field::kValuesMax; ++i) absl::StrAppend(&many, ",", i);
  const std::pair<std::string, std::string> cases[] = {
      {R"({"word": 1})", "payload field 'word' is 1; a string is needed"},
      {R"({"n": 1.5})", "payload field 'n' is 1.5; a whole number of 64 bits is needed"},
      {R"({"n": 9223372036854775808})", "a whole number of 64 bits is needed"},
      {R"({"n": [1, "2"]})", "payload field 'n' is \"2\"; a whole number"},
      {R"({"x": "1"})", "payload field 'x' is \"1\"; a number is needed"},
      {R"({"flag": 0})", "payload field 'flag' is 0; true or false is needed"},
      {R"({"at": 12})", "a string in RFC 3339 is needed"},
      {R"({"at": "yesterday"})", "'yesterday' is no datetime; RFC 3339 is needed"},
      {R"({"at": "infinite-past"})", "is no datetime"},
      {R"({"author": {"name": {}}})",
       "payload field 'author.name' is an object; a string is needed"},
      {absl::StrCat(R"({"n": [)", std::string(300'000, '['), std::string(300'000, ']'), "]}"),
       "payload field 'n' is an array; a whole number of 64 bits is needed"},
      {absl::StrCat(R"({"word": ")", long_word, "\"}"),
       "it has 1025 bytes; the limit of a keyword"},
      {absl::StrCat(R"({"n": [)", many, "]}"), "has 1025 values; the limit is 1024"},
      {"[1]", "the payload is not a JSON object"},
  };
  for (const auto& [payload, message] : cases) {
    const auto values = ReadValues(kFields, payload);
    EXPECT_EQ(values.status().code(), absl::StatusCode::kInvalidArgument) << payload.substr(0, 80);
    EXPECT_THAT(std::string(values.status().message()), HasSubstr(message));
  }
}

TEST(PayloadValues, OrderOfFloatsIsThatOfTheirKeys) {
  const double numbers[] = {-std::numeric_limits<double>::max(),
                            -1.5,
                            -1.0,
                            -1e-300,
                            -std::numeric_limits<double>::denorm_min(),
                            0.0,
                            std::numeric_limits<double>::denorm_min(),
                            1e-300,
                            1.0,
                            std::nextafter(1.0, 2.0),
                            std::numeric_limits<double>::max()};
  for (size_t i = 1; i < std::size(numbers); ++i) {
    EXPECT_LT(OrderedKey(numbers[i - 1]), OrderedKey(numbers[i])) << numbers[i];
  }
  for (const double number : numbers) EXPECT_EQ(FloatOfKey(OrderedKey(number)), number);
  EXPECT_EQ(OrderedKey(-0.0), OrderedKey(0.0));
}

TEST(PayloadValues, DatetimesHaveOffsetsAndDates) {
  EXPECT_EQ(*ParseDatetime("1970-01-02"), int64_t{86'400'000'000});
  EXPECT_EQ(*ParseDatetime("1970-01-01T02:00:00+02:00"), 0);
  EXPECT_EQ(*ParseDatetime("1969-12-31T23:59:59.999999Z"), -1);
  for (const char* text :
       {"", "1970", "1970-13-01", "1970-01-01 00:00:00", "12:00:00Z", "0000-01-01"}) {
    EXPECT_FALSE(ParseDatetime(text).ok()) << text;
  }
}

}  // namespace
}  // namespace mrl::filter
