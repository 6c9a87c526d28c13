// Bad filters through real gRPC, as text and as trees, to every method that takes both.
#include <limits>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "mrl/v1/filter.pb.h"
#include "mrl/v1/point.pb.h"
#include "mrl/v1/search.pb.h"
#include "tests/integration/bad_case.h"

namespace mrl {
namespace {

using grpc::StatusCode;

class BadFilter : public BadLiveCase {
 protected:
  void ExpectText(const std::string& text, const std::string& words) {
    ExpectAll([&text](auto* message) { message->set_filter(text); }, words,
              absl::StrCat("filter '", text.substr(0, 60), "'"));
  }
  void ExpectTree(const v1::Filter& tree, const std::string& words) {
    ExpectAll([&tree](auto* message) { *message->mutable_filter_tree() = tree; }, words,
              absl::StrCat("a tree, ", words));
  }

 private:
  template <typename SetFilter>
  void ExpectAll(const SetFilter& set, const std::string& words, const std::string& what) {
    v1::SearchRequest search;
    search.mutable_vector()->set_dtype(v1::DTYPE_F32);
    search.mutable_vector()->set_data(BytesOf(SampleVector(9, 7)));
    set(search.mutable_options());
    ExpectRefused("SearchService/Search", search, words, what);
    v1::CountPointsRequest count;
    set(&count);
    ExpectRefused("PointService/CountPoints", count, words, what);
    v1::ListPointsRequest list;
    set(&list);
    ExpectRefused("PointService/ListPoints", list, words, what);
    v1::DeletePointsRequest remove;
    set(&remove);
    ExpectRefused("PointService/DeletePoints", remove, words, what);
  }
  template <typename Request>
  void ExpectRefused(const std::string& method, Request request, const std::string& words,
                     const std::string& what) {
    request.set_collection("notes");
    Expect(Send(method, request), StatusCode::INVALID_ARGUMENT, words,
           absl::StrCat(what, " by ", method));
  }
};

TEST_F(BadFilter, Syntax) {
  const std::pair<std::string, std::string> texts[] = {
      {"(", "at byte 1 a field is needed; it ends"},
      {")", "at byte 0 a field is needed; ')' stands there"},
      {"()", "at byte 1 a field is needed; ')' stands there"},
      {"= 1", "at byte 0 a field is needed; '= 1' stands there"},
      {"\"word\" = 1", "at byte 0 a field is needed; '\"word\" = 1' stands there"},
      {"word", "at byte 4 one of = != < <= > >= : is needed; it ends"},
      {"word word", "at byte 5 one of = != < <= > >= : is needed; 'word' stands there"},
      {"word ~ a", "at byte 5 one of = != < <= > >= : is needed; '~ a' stands there"},
      {"word ! a", "at byte 5 one of = != < <= > >= : is needed"},
      {"word =", "at byte 6 a value is needed; it ends"},
      {"word = = a", "at byte 7 a value is needed; '= a' stands there"},
      {"word == a", "at byte 6 a value is needed; '= a' stands there"},
      {"word !=", "at byte 7 a value is needed; it ends"},
      {"n >", "at byte 3 a value is needed; it ends"},
      {"n => 1", "at byte 3 a value is needed; '> 1' stands there"},
      {"n <> 1", "at byte 3 a value is needed; '> 1' stands there"},
      {"n = (1)", "at byte 4 a value is needed; '(1)' stands there"},
      {"n = 1,", "at byte 5 AND, OR or the end is needed; ',' stands there"},
      {"n = 1 2", "at byte 6 AND, OR or the end is needed; '2' stands there"},
      {"n = 1)", "at byte 5 AND, OR or the end is needed; ')' stands there"},
      {"n = 1 and n = 2", "at byte 6 AND, OR or the end is needed; 'and n = 2' stands there"},
      {"n = 1 && n = 2", "at byte 6 AND, OR or the end is needed; '&& n = 2' stands there"},
      {"n = 1 AND", "at byte 9 a field is needed; it ends"},
      {"n = 1 OR", "at byte 8 a field is needed; it ends"},
      {"n = 1 AND OR n = 2", "at byte 13 one of = != < <= > >= : is needed"},
      {"AND n = 1", "at byte 4 one of = != < <= > >= : is needed; 'n = 1' stands there"},
      {"NOT", "at byte 3 a field is needed; it ends"},
      {"NOT NOT n = 1", "at byte 8 one of = != < <= > >= : is needed; 'n = 1' stands there"},
      {"(n = 1", "at byte 6 ')' is needed; it ends"},
      {"(n = 1 AND", "at byte 10 a field is needed; it ends"},
      {"((n = 1)", "at byte 8 ')' is needed; it ends"},
      {"word = \"a", "at byte 9 the closing quote is needed; it ends"},
      {"word = 'a\"", "at byte 10 the closing quote is needed; it ends"},
      {"word = \"a\\", "at byte 10 a quote or a backslash behind a backslash is needed; it ends"},
      {"word = \"\\n\"", "at byte 9 a quote or a backslash behind a backslash is needed"},
      {"word = a*", "at byte 8 AND, OR or the end is needed; '*' stands there"},
      {"word : ", "at byte 7 a value is needed; it ends"},
      {"word:**", "at byte 6 AND, OR or the end is needed; '*' stands there"},
      {"[n = 1]", "at byte 0 a field is needed; '[n = 1]' stands there"},
      {"n = 1;", "at byte 5 AND, OR or the end is needed; ';' stands there"},
      {"in", "at byte 2 one of = != < <= > >= : is needed; it ends"},
      {"in(", "at byte 3 a field is needed; it ends"},
      {"in()", "at byte 3 a field is needed; ')' stands there"},
      {"in(word)", "at byte 7 ',' and a value is needed; ')' stands there"},
      {"in(word,)", "at byte 8 a value is needed; ')' stands there"},
      {"in(word, a b)", "at byte 11 ',' or ')' is needed; 'b)' stands there"},
      {"in(word, a", "at byte 10 ',' or ')' is needed; it ends"},
      {"ids()", "at byte 4 a value is needed; ')' stands there"},
      {"ids(1", "at byte 5 ',' or ')' is needed; it ends"},
      {"ids(1,)", "at byte 6 a value is needed; ')' stands there"},
      {"has(word)", "there is no function 'has'; in and ids are known"},
      {"IN(word, a)", "there is no function 'IN'; in and ids are known"},
      {std::string("n = 1\0", 6), "at byte 5 AND, OR or the end is needed"}};
  for (const auto& [text, words] : texts) ExpectText(text, words);
  ExpectCases(4 * 53);
}

TEST_F(BadFilter, FieldsAndValues) {
  const std::pair<std::string, std::string> texts[] = {
      {"nosuch = 1", "field 'nosuch' is not indexed; these are: word:keyword,author.name:keyword,"},
      {"Word = a", "field 'Word' is not indexed; these are: "},
      {"author = a", "field 'author' is not indexed; these are: "},
      {"author.name.first = a", "field 'author.name.first' is not indexed"},
      {"nosuch:*", "field 'nosuch' is not indexed"},
      {"nosuch > 1", "field 'nosuch' is not indexed"},
      {"in(nosuch, 1)", "field 'nosuch' is not indexed"},
      {"n = 1 AND (word = a OR NOT nosuch = 1)", "field 'nosuch' is not indexed"},
      {absl::StrCat(std::string(100, 'f'), " = 1"),
       absl::StrCat("field '", std::string(64, 'f'), "' is not indexed")},
      {"n = a", "field 'n' is int; a is not a whole number of 64 bits"},
      {"n = 1.5", "field 'n' is int; 1.5 is not a whole number of 64 bits"},
      {"n = \"1\"", "field 'n' is int; '1' is not a whole number of 64 bits"},
      {"n = 9223372036854775808", "9223372036854775808 is not a whole number of 64 bits"},
      {"n > -9223372036854775809", "-9223372036854775809 is not a whole number of 64 bits"},
      {"in(n, 1, 2, x)", "field 'n' is int; x is not a whole number of 64 bits"},
      {"x = a", "field 'x' is float; a is not a number"},
      {"x = nan", "field 'x' is float; nan is not a number"},
      {"x < inf", "field 'x' is float; inf is not a number"},
      {"x >= -1e999", "field 'x' is float; -1e999 is not a number"},
      {"x = \"1.5\"", "field 'x' is float; '1.5' is not a number"},
      {"flag = 1", "field 'flag' is bool; 1 is not true or false"},
      {"flag = TRUE", "field 'flag' is bool; TRUE is not true or false"},
      {"flag = \"true\"", "field 'flag' is bool; 'true' is not true or false"},
      {"flag > false", "field 'flag' is bool, which has no order; int, float and datetime have"},
      {"word < a", "field 'word' is keyword, which has no order; int, float and datetime have"},
      {"at = 12", "field 'at' is datetime; 12 is not a datetime, such as 2024-05-01T12:00:00Z"},
      {"at > yesterday", "field 'at' is datetime; yesterday is not a datetime"},
      {"at = \"2024-13-01\"", "field 'at' is datetime; '2024-13-01' is not a datetime"},
      {"at = 2024-05-01T25:00:00Z", "2024-05-01T25:00:00Z is not a datetime"},
      {"ids(\"\")", "a point's id is the empty string"},
      {absl::StrCat("ids(", std::string(257, 'i'), ")"), "has 257 bytes; the limit is 256"}};
  for (const auto& [text, words] : texts) ExpectText(text, words);
  ExpectCases(4 * 31);
}

TEST_F(BadFilter, Sizes) {
  ExpectText(std::string(65'537, 'f'), "the filter has 65537 bytes; the limit is 65536");
  ExpectText(std::string(1 << 20, '('), "the filter has 1048576 bytes; the limit is 65536");
  for (const size_t levels : {10, 32, 10'000}) {
    ExpectText(std::string(levels, '(') + "n = 1" + std::string(levels, ')'),
               "parentheses are nested deeper than 10");
  }
  std::string conditions = "n=0", values = "in(n";
  for (int i = 1; i <= 1000; ++i) absl::StrAppend(&conditions, " AND n=", i);
  for (int i = 0; i <= 10'000; ++i) absl::StrAppend(&values, ",", i);
  ExpectText(conditions, "the filter has more conditions than 1000, the limit");
  ExpectText(values + ")", "the filter has more values than 10000, the limit");

  v1::Filter wide, deep, many, ids;
  for (int i = 0; i < 1000; ++i) wide.mutable_all()->add_filters()->set_exists("n");
  ExpectTree(wide, "the filter has more conditions than 1000, the limit");
  v1::Filter* inner = &deep;
  for (int i = 0; i < 32; ++i) inner = inner->mutable_none()->add_filters();
  inner->set_exists("n");
  ExpectTree(deep, "the filter has more levels than 32, the limit");
  for (int i = 0; i < 14; ++i) inner = inner->mutable_any()->add_filters();
  inner->set_exists("n");
  ExpectTree(deep, "the filter has more levels than 32, the limit");
  many.mutable_in()->set_field("n");
  for (int i = 0; i <= 10'000; ++i) many.mutable_in()->add_values()->set_integer(i);
  ExpectTree(many, "the filter has more values than 10000, the limit");
  for (int i = 0; i <= 10'000; ++i) ids.mutable_ids()->add_ids()->set_number(1);
  ExpectTree(ids, "the filter has more values than 10000, the limit");
  ExpectCases(4 * 12);
}

TEST_F(BadFilter, Trees) {
  v1::Filter tree;
  ExpectTree(tree, "a condition of the filter is empty");
  tree.mutable_all()->add_filters();
  ExpectTree(tree, "a condition of the filter is empty");
  tree.mutable_in()->set_field("n");
  tree.mutable_in()->add_values();
  ExpectTree(tree, "a value of the filter is empty");
  tree.mutable_range()->set_field("n");
  tree.mutable_range()->mutable_above();
  ExpectTree(tree, "a value of the filter is empty");
  tree.mutable_range()->mutable_above()->set_integer(1);
  tree.mutable_range()->mutable_at_most();
  ExpectTree(tree, "a value of the filter is empty");
  tree.mutable_ids()->add_ids();
  ExpectTree(tree, "id is empty; a number or a text is needed");
  tree.mutable_ids()->mutable_ids(0)->set_text(std::string(300, 'i'));
  ExpectTree(tree, "has 300 bytes; the limit is 256");
  for (const char* field : {"", "nosuch", "N", "n ", "author"}) {
    const std::string words = absl::StrCat("field '", field, "' is not indexed; these are: word:");
    tree.set_exists(field);
    ExpectTree(tree, words);
    tree.mutable_range()->set_field(field);
    ExpectTree(tree, words);
    tree.mutable_in()->set_field(field);
    ExpectTree(tree, words);
  }
  ExpectCases(4 * 22);
}

TEST_F(BadFilter, TypesInTrees) {
  using Value = v1::FilterValue;
  Value text, integer, number, none, flag, time;
  text.set_text("1");
  integer.set_integer(1);
  number.set_number(1.5);
  none.set_number(std::numeric_limits<double>::quiet_NaN());
  flag.set_flag(true);
  time.mutable_time()->set_seconds(std::numeric_limits<int64_t>::max() / 2);
  const std::tuple<const char*, Value, const char*> values[] = {
      {"word", integer, "field 'word' is keyword; 1 is not a text"},
      {"word", number, "field 'word' is keyword; 1.5 is not a text"},
      {"word", flag, "field 'word' is keyword; true is not a text"},
      {"n", text, "field 'n' is int; '1' is not a whole number of 64 bits"},
      {"n", number, "field 'n' is int; 1.5 is not a whole number of 64 bits"},
      {"n", flag, "field 'n' is int; true is not a whole number of 64 bits"},
      {"x", text, "field 'x' is float; '1' is not a number"},
      {"x", none, "field 'x' is float; nan is not a number"},
      {"x", flag, "field 'x' is float; true is not a number"},
      {"flag", text, "field 'flag' is bool; '1' is not true or false"},
      {"flag", integer, "field 'flag' is bool; 1 is not true or false"},
      {"at", text, "field 'at' is datetime; '1' is not a datetime"},
      {"at", integer, "field 'at' is datetime; 1 is not a datetime"},
      {"at", flag, "field 'at' is datetime; true is not a datetime"},
      {"at", time, "field 'at' is datetime; "}};
  for (const auto& [field, value, words] : values) {
    v1::Filter tree;
    tree.mutable_in()->set_field(field);
    *tree.mutable_in()->add_values() = value;
    ExpectTree(tree, words);
  }
  for (const char* field : {"word", "flag"}) {
    v1::Filter tree;
    tree.mutable_range()->set_field(field);
    *tree.mutable_range()->mutable_at_least() = text;
    ExpectTree(tree, absl::StrCat("field '", field, "' is "));
  }
  ExpectCases(4 * 17);
}

TEST_F(BadFilter, BesideIds) {
  v1::DeletePointsRequest request;
  request.set_collection("notes");
  request.add_ids()->set_number(1);
  request.set_filter("n = 1");
  Expect(Send("PointService/DeletePoints", request), StatusCode::INVALID_ARGUMENT,
         "ids and a filter were both given; a call takes one of them", "text");
  request.mutable_filter_tree()->set_exists("n");
  Expect(Send("PointService/DeletePoints", request), StatusCode::INVALID_ARGUMENT,
         "ids and a filter were both given; a call takes one of them", "tree");
  ExpectCases(2);
}

}  // namespace
}  // namespace mrl
