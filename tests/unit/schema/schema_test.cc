#include "index/schema/schema.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/schema/point_id.h"

namespace mrl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Schema Small() {
  Schema schema;
  schema.dim = 64;
  schema.ladder = {16, 32, 64};
  schema.codes = {{16, 8}};
  return schema;
}

std::string Refusal(const Schema& schema) { return std::string(schema.Validate().message()); }

TEST(Schema, AcceptsAnIncreasingLadderThatEndsAtDim) { EXPECT_TRUE(Small().Validate().ok()); }

TEST(Schema, NamesTheStepThatDoesNotIncrease) {
  Schema schema = Small();
  schema.ladder = {32, 16, 64};
  EXPECT_THAT(Refusal(schema), HasSubstr("ladder step 16 follows 32"));
}

TEST(Schema, NamesTheStepAboveDim) {
  Schema schema = Small();
  schema.ladder = {16, 128};
  EXPECT_THAT(Refusal(schema), HasSubstr("ladder step 128 is above dim 64"));
}

TEST(Schema, WantsTheLadderToReachDim) {
  Schema schema = Small();
  schema.ladder = {16, 32};
  EXPECT_THAT(Refusal(schema), HasSubstr("the ladder ends at 32"));
}

TEST(Schema, RefusesACodeOffTheLadder) {
  Schema schema = Small();
  schema.codes = {{24, 8}};
  EXPECT_THAT(Refusal(schema), HasSubstr("24 dimensions are not on the ladder 16,32,64"));
}

TEST(Schema, RefusesWidthsThatNoCodeHas) {
  Schema schema = Small();
  schema.codes = {{16, 3}};
  EXPECT_THAT(Refusal(schema), HasSubstr("code 16b3: bits are 3; 1, 2, 4 or 8 are needed"));
}

TEST(Schema, CodesOfFewBitsServeShorterPrefixes) {
  Schema schema = Small();
  schema.codes = {{16, 8}, {64, 1}};
  EXPECT_TRUE(schema.Validate().ok());
  EXPECT_TRUE(schema.HasCode(32, 1));
  EXPECT_FALSE(schema.HasCode(32, 8));
  EXPECT_FALSE(schema.HasCode(32, 2));
  schema.codes = {{16, 1}, {64, 1}};
  EXPECT_THAT(Refusal(schema), HasSubstr("code 64b1 contains 16b1: name 64b1 only"));
}

TEST(Schema, CodesOfFewBitsNeedCosineAndHaveALimit) {
  Schema schema = Small();
  schema.codes = {{64, 1}};
  schema.metric = Metric::kL2;
  EXPECT_THAT(Refusal(schema),
              HasSubstr("code 64b1: 1 bits need the metric cosine; the metric is l2"));
  schema = Small();
  schema.dim = 32768;
  schema.ladder = {32768};
  schema.codes = {{32768, 1}};
  EXPECT_THAT(Refusal(schema), HasSubstr("32768 bits a row; the limit is 16384"));
}

TEST(Schema, KnowsItsLevels) {
  const Schema schema = Small();
  EXPECT_EQ(schema.LevelOf(32), 1);
  EXPECT_EQ(schema.LevelOf(33), -1);
  EXPECT_EQ(schema.level_begin(2), 32U);
  EXPECT_EQ(schema.level_width(2), 32U);
}

TEST(Schema, DoublesTheLadderByDefault) {
  EXPECT_THAT(DefaultLadder(100), ElementsAre(16, 32, 64, 100));
  EXPECT_THAT(DefaultLadder(8), ElementsAre(8));
  EXPECT_EQ(DefaultLadder(0xffffffffU).size(), 29U);
}

TEST(Schema, KeepsSignsOfLongPrefixesByDefaultUnderCosine) {
  const std::vector<uint32_t> ladder = {16, 64, 128, 256, 512, 1024};
  EXPECT_EQ(FormatCodes(DefaultCodes(ladder, Metric::kCosine)), "16b8,64b8,512b1");
  EXPECT_EQ(FormatCodes(DefaultCodes(ladder, Metric::kL2)), "16b8,64b8,128b8,256b8");
  EXPECT_EQ(FormatCodes(DefaultCodes({16, 128}, Metric::kCosine)), "16b8,128b8");
  EXPECT_EQ(FormatCodes(DefaultCodes({768}, Metric::kCosine)), "768b8");
  EXPECT_EQ(FormatCodes(DefaultCodes({256, 768}, Metric::kCosine)), "256b1");
}

TEST(Schema, ParsesAndFormatsItsTextForms) {
  EXPECT_EQ(FormatLadder(*ParseLadder("16,32")), "16,32");
  EXPECT_EQ(FormatCodes(*ParseCodes("16b8,64b8")), "16b8,64b8");
  EXPECT_EQ(FormatCodes(*ParseCodes("none")), "none");
  EXPECT_THAT(std::string(ParseMetric("dot").status().message()), HasSubstr("cosine, ip, l2"));
  EXPECT_THAT(std::string(ParseCodes("16").status().message()), HasSubstr("'16'"));
}

TEST(PointId, OrdersNumbersBeforeStringsAndStringsBytewise) {
  EXPECT_LT(PointId(uint64_t{7}), PointId(uint64_t{30}));
  EXPECT_LT(PointId(uint64_t{900}), PointId(std::string("1")));
  EXPECT_LT(PointId(std::string("a")), PointId(std::string("b")));
}

TEST(PointId, RefusesTheEmptyAndTheTooLongString) {
  EXPECT_FALSE(PointId(std::string()).Validate().ok());
  EXPECT_THAT(std::string(PointId(std::string(257, 'x')).Validate().message()),
              HasSubstr("257 bytes; the limit is 256"));
}

TEST(PointId, IsUtf8) {
  for (const char* text : {"dog.n.01", "\xc3\xa9t\xc3\xa9", "\xe2\x82\xac", "\xed\x9f\xbf",
                           "\xee\x80\x80", "\xf0\x9f\x90\x95", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(PointId(std::string(text)).Validate().ok()) << text;
  }
  // Cut short, a stray continuation, overlong, a surrogate, above U+10FFFF, no UTF-8 byte at all.
  for (const char* text : {"a\xc3", "\xe2\x82", "\x80", "\xc0\xaf", "\xe0\x9f\xbf", "\xed\xa0\x80",
                           "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xc3(", "\xff"}) {
    const absl::Status status = PointId(std::string(text)).Validate();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("is not UTF-8"));
  }
  EXPECT_EQ(PointId(std::string("a\xff")).Validate().message(), "id 'a\\xff' is not UTF-8");
}

TEST(SchemaFields, HaveNamesAndTypes) {
  Schema schema = Small();
  schema.fields = {{"year", FieldType::kInt}, {"author.name", FieldType::kKeyword}};
  EXPECT_TRUE(schema.Validate().ok());
  EXPECT_EQ(FormatFields(schema.fields), "year:int,author.name:keyword");
  EXPECT_EQ(FormatFields({}), "none");
  EXPECT_EQ(*ParseField("at:datetime"), (Field{"at", FieldType::kDatetime}));
  for (const char* name : {"", "1a", "a b", "a.", ".a", "a..b", "a-b"}) {
    schema.fields[0].name = name;
    EXPECT_THAT(Refusal(schema), HasSubstr("a name is words of letters")) << name;
  }
  schema.fields[0].name = std::string(65, 'a');
  EXPECT_THAT(Refusal(schema), HasSubstr("64 bytes at most"));
  schema.fields[0].name = "author.name";
  EXPECT_THAT(Refusal(schema), HasSubstr("field 'author.name' is named twice"));
  schema.fields.assign(33, {"a", FieldType::kBool});
  EXPECT_THAT(Refusal(schema), HasSubstr("the schema has 33 fields; the limit is 32"));
  EXPECT_THAT(std::string(ParseField("year").status().message()), HasSubstr("is not NAME:TYPE"));
  EXPECT_THAT(std::string(ParseField("year:date").status().message()),
              HasSubstr("one of keyword, int, float, bool, datetime is needed"));
}

}  // namespace
}  // namespace mrl
