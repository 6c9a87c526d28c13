#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/filter/expression.h"

namespace mrl::filter {
namespace {

using ::testing::HasSubstr;

std::string Show(const Literal& literal) {
  if (const auto* text = std::get_if<std::string>(&literal)) return absl::StrCat("\"", *text, "\"");
  return std::get<BareWord>(literal).text;
}

// The tree with every parenthesis written out.
std::string Show(const Expression& expression) {
  std::string out;
  switch (expression.kind) {
    case Expression::Kind::kAll:
    case Expression::Kind::kAny:
    case Expression::Kind::kNone:
      out = expression.kind == Expression::Kind::kAll   ? "all("
            : expression.kind == Expression::Kind::kAny ? "any("
                                                        : "none(";
      for (const Expression& child : expression.children) absl::StrAppend(&out, Show(child), " ");
      if (out.back() == ' ') out.pop_back();
      return out + ")";
    case Expression::Kind::kIn:
      out = expression.field + " in";
      for (const Literal& value : expression.values) absl::StrAppend(&out, " ", Show(value));
      return out;
    case Expression::Kind::kRange:
      out = expression.field;
      if (expression.low) {
        absl::StrAppend(&out, expression.low->inclusive ? ">=" : ">", Show(expression.low->value));
      }
      if (expression.high) {
        absl::StrAppend(&out, expression.high->inclusive ? "<=" : "<",
                        Show(expression.high->value));
      }
      return out;
    case Expression::Kind::kExists:
      return "exists " + expression.field;
    case Expression::Kind::kIds:
      out = "ids";
      for (const PointId& id : expression.ids) {
        absl::StrAppend(&out, id.is_number() ? " #" : " ", id.ToString());
      }
      return out;
  }
  return out;
}

struct Case {
  const char* text;
  const char* tree;
};

TEST(FilterText, IsReadAsATree) {
  constexpr Case kCases[] = {
      {"", "all()"},
      {"  ", "all()"},
      {"a = 1", "a in 1"},
      {"a=1", "a in 1"},
      {"a != 1", "none(a in 1)"},
      {"a:1", "a in 1"},
      {"a:*", "exists a"},
      {"author.name = \"J. \\\"R\\\" \\\\ R\"", "author.name in \"J. \"R\" \\ R\""},
      {"a = 'it is \"so\"'", "a in \"it is \"so\"\""},
      {"a < -2.5e3", "a<-2.5e3"},
      {"a <= 2", "a<=2"},
      {"a > 2 AND a >= 3", "all(a>2 a>=3)"},
      {"t >= 2024-05-01T12:00:00+02:00", "t>=2024-05-01T12:00:00+02:00"},
      // OR binds tighter than AND.
      {"a = 1 AND b = 2 OR c = 3 AND d = 4", "all(a in 1 any(b in 2 c in 3) d in 4)"},
      {"(a = 1 AND b = 2) OR c = 3", "any(all(a in 1 b in 2) c in 3)"},
      {"NOT a = 1 AND -b = 2", "all(none(a in 1) none(b in 2))"},
      {"NOT (a = 1 OR b:*)", "none(any(a in 1 exists b))"},
      {"in(lang, \"en\", de)", "lang in \"en\" de"},
      {"ids(1, \"1\", x)", "ids #1 1 x"},
      {"ORDER = 1", "ORDER in 1"},
      {"a = \xC3\xBC", "a in \xC3\xBC"},
  };
  for (const Case& one : kCases) {
    const auto parsed = ParseExpression(one.text);
    ASSERT_TRUE(parsed.ok()) << one.text << ": " << parsed.status();
    EXPECT_EQ(Show(*parsed), one.tree) << one.text;
  }
}

TEST(FilterText, SaysWhatIsWrongAndWhere) {
  constexpr Case kCases[] = {
      {"=", "at byte 0 a field is needed; '=' stands there"},
      {"a", "at byte 1 one of = != < <= > >= : is needed; it ends"},
      {"a =", "at byte 3 a value is needed; it ends"},
      {"a = 1 b = 2", "at byte 6 AND, OR or the end is needed; 'b = 2' stands there"},
      {"a = 1 AND", "at byte 9 a field is needed; it ends"},
      {"(a = 1", "at byte 6 ')' is needed; it ends"},
      {"a = 1)", "at byte 5 AND, OR or the end is needed"},
      {"a = \"x", "at byte 6 the closing quote is needed; it ends"},
      {"a = \"\\n\"", "a quote or a backslash behind a backslash is needed"},
      {"a == 1", "at byte 3 a value is needed; '= 1' stands there"},
      {"a ~ 1", "one of = != < <= > >= : is needed; '~ 1' stands there"},
      {"like(a, 1)", "there is no function 'like'; in and ids are known"},
      {"in(a)", "',' and a value is needed"},
      {"in(a, 1", "',' or ')' is needed"},
      {"ids()", "a value is needed"},
  };
  for (const Case& one : kCases) {
    const auto parsed = ParseExpression(one.text);
    EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument) << one.text;
    EXPECT_THAT(std::string(parsed.status().message()), HasSubstr(one.tree)) << one.text;
  }
}

TEST(FilterText, IsBounded) {
  const std::string deep = std::string(60'000, '(');
  EXPECT_THAT(std::string(ParseExpression(deep).status().message()),
              HasSubstr("parentheses are nested deeper than 10"));
  std::string nots;
  for (int i = 0; i < 9; ++i) nots += "NOT (";
  EXPECT_TRUE(ParseExpression(nots + "a = 1" + std::string(9, ')')).ok());
  const std::string longest = absl::StrCat("a = \"", std::string(64 << 10, 'x'), "\"");
  EXPECT_THAT(std::string(ParseExpression(longest).status().message()),
              HasSubstr("the filter has 65542 bytes; the limit is 65536"));
  std::string many = "a = 1";
  for (int i = 0; i < 998; ++i) many += " OR a = 1";
  EXPECT_TRUE(ParseExpression(many).ok());
  many += " OR a = 1";
  EXPECT_THAT(std::string(ParseExpression(many).status().message()),
              HasSubstr("the filter has more conditions than 1000, the limit"));
  std::string values = "ids(0";
  for (int i = 1; i < 10'000; ++i) absl::StrAppend(&values, ",", i);
  EXPECT_TRUE(ParseExpression(values + ")").ok());
  EXPECT_THAT(std::string(ParseExpression(values + ",1)").status().message()),
              HasSubstr("the filter has more values than 10000, the limit"));
}

}  // namespace
}  // namespace mrl::filter
