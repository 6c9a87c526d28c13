#include "index/filter/filter.h"

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/filter/payload_values.h"
#include "index/filter/tail_fields.h"
#include "index/store/tail.h"

namespace mrl::filter {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::vector<Field> kFields = {{"lang", FieldType::kKeyword},
                                    {"year", FieldType::kInt},
                                    {"score", FieldType::kFloat},
                                    {"open", FieldType::kBool},
                                    {"at", FieldType::kDatetime}};

class Filters : public ::testing::Test {
 protected:
  Filters() {
    schema_.dim = 2;
    schema_.ladder = {2};
    schema_.fields = kFields;
    tail_ = *store::Tail::Create(schema_, 16, account_);
    fields_ = std::make_unique<TailFields>(kFields);
  }
  void Add(const std::string& payload) {
    fields_->Append(tail_->rows(), *ReadValues(kFields, payload));
    const uint64_t sequence = tail_->rows() + 1;
    tail_->Append({.id = PointId(uint64_t{10} * tail_->rows()),
                   .sequence = sequence,
                   .vector = {1, 2},
                   .payload = payload});
  }
  std::vector<uint32_t> Rows(const std::string& text, uint32_t of = 0) {
    const auto filter = Filter::Make(*ParseExpression(text), kFields);
    EXPECT_TRUE(filter.ok()) << filter.status();
    const auto view = store::Tail::View(tail_, of == 0 ? tail_->rows() : of);
    const RowSet set = filter->Matching(*view, fields_.get());
    std::vector<uint32_t> rows;
    for (uint32_t row = 0; row < 64 * set.words().size(); ++row) {
      if ((set.words()[row / 64] >> (row % 64)) & 1) rows.push_back(row);
    }
    return rows;
  }
  static std::string Refusal(const std::string& text) {
    const auto filter = Filter::Make(*ParseExpression(text), kFields);
    EXPECT_EQ(filter.status().code(), absl::StatusCode::kInvalidArgument) << text;
    return std::string(filter.status().message());
  }

  Schema schema_;
  MemoryAccount account_{1 << 20};
  std::shared_ptr<store::Tail> tail_;
  std::unique_ptr<TailFields> fields_;
};

TEST_F(Filters, FindTheirRows) {
  Add(R"({"lang": "en", "year": 1999, "score": 0.5, "open": true, "at": "2024-05-01T00:00:00Z"})");
  Add(R"({"lang": ["de", "en"], "year": -3, "score": -0.5, "open": false})");
  Add(R"({"lang": "fr", "year": [2001, 1980]})");
  Add("");
  EXPECT_THAT(Rows(""), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(Rows("lang = en"), ElementsAre(0, 1));
  EXPECT_THAT(Rows("lang = \"EN\""), IsEmpty());
  EXPECT_THAT(Rows("lang != en"), ElementsAre(2, 3));
  EXPECT_THAT(Rows("lang:* AND lang != en"), ElementsAre(2));
  EXPECT_THAT(Rows("in(lang, de, fr)"), ElementsAre(1, 2));
  EXPECT_THAT(Rows("year > 1999"), ElementsAre(2));
  EXPECT_THAT(Rows("year >= 1999"), ElementsAre(0, 2));
  EXPECT_THAT(Rows("year < 0"), ElementsAre(1));
  EXPECT_THAT(Rows("year <= -9223372036854775808"), IsEmpty());
  EXPECT_THAT(Rows("year < -9223372036854775808"), IsEmpty());
  EXPECT_THAT(Rows("year > 9223372036854775807"), IsEmpty());
  EXPECT_THAT(Rows("score > 0"), ElementsAre(0));
  EXPECT_THAT(Rows("score >= -0.5 AND score < 0.5"), ElementsAre(1));
  EXPECT_THAT(Rows("score = 5e-1"), ElementsAre(0));
  EXPECT_THAT(Rows("open = true"), ElementsAre(0));
  EXPECT_THAT(Rows("open = false OR at >= 2024-05-01"), ElementsAre(0, 1));
  EXPECT_THAT(Rows("at > \"2024-04-30T23:59:59.999999Z\""), ElementsAre(0));
  EXPECT_THAT(Rows("ids(10, 30, 77)"), ElementsAre(1, 3));
  EXPECT_THAT(Rows("NOT ids(10, 30, 77) AND year:*"), ElementsAre(0, 2));
}

TEST_F(Filters, SeeTheRowsOfAViewOnly) {
  Add(R"({"lang": "en"})");
  Add(R"({"lang": "de"})");
  EXPECT_THAT(Rows("lang:*", 1), ElementsAre(0));
  EXPECT_THAT(Rows("lang = de", 1), IsEmpty());
  EXPECT_THAT(Rows("lang != de", 1), ElementsAre(0));
}

TEST_F(Filters, ThatMakeNoSenseAreRefused) {
  EXPECT_THAT(Refusal("color = red"),
              HasSubstr("field 'color' is not indexed; these are: lang:keyword,"));
  EXPECT_THAT(Refusal("year = \"1999\""),
              HasSubstr("field 'year' is int; '1999' is not a whole number of 64 bits"));
  EXPECT_THAT(Refusal("year > 1999.5"), HasSubstr("1999.5 is not a whole number"));
  EXPECT_THAT(Refusal("score = inf"), HasSubstr("field 'score' is float; inf is not a number"));
  EXPECT_THAT(Refusal("open = 1"), HasSubstr("field 'open' is bool; 1 is not true or false"));
  EXPECT_THAT(Refusal("at = noon"), HasSubstr("field 'at' is datetime; noon is not a datetime"));
  EXPECT_THAT(Refusal("lang > a"), HasSubstr("field 'lang' is keyword, which has no order"));
  EXPECT_THAT(Refusal("open < true"), HasSubstr("field 'open' is bool, which has no order"));
  EXPECT_THAT(Refusal("ids(\"\")"), HasSubstr("empty string"));
}

TEST_F(Filters, OfATreeAreHeldAgainstTheLimits) {
  Expression deep;
  for (size_t i = 1; i < Limits::kDepth; ++i) {
    Expression outer{.kind = Expression::Kind::kNone};
    outer.children.push_back(std::move(deep));
    deep = std::move(outer);
  }
  EXPECT_TRUE(Filter::Make(deep, kFields).ok());
  Expression deeper{.kind = Expression::Kind::kNone};
  deeper.children.push_back(deep);
  EXPECT_THAT(std::string(Filter::Make(deeper, kFields).status().message()),
              HasSubstr("the filter has more levels than 32"));
}

}  // namespace
}  // namespace mrl::filter
