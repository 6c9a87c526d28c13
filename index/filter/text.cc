// The parser of filters in text. A level of the grammar is a function; depth is counted, so that no
// text overflows the stack.
#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/filter/expression.h"

namespace mrl::filter {
namespace {

using Kind = Expression::Kind;

bool IsWordByte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return absl::ascii_isalnum(byte) || byte >= 0x80 || c == '_' || c == '.' || c == '-' || c == '+';
}

class Parser {
 public:
  explicit Parser(absl::string_view text) : text_(text) {}

  absl::StatusOr<Expression> Parse() {
    Skip();
    if (AtEnd()) return Expression{};
    MRL_ASSIGN_OR_RETURN(Expression parsed, ParseAll(1));
    if (!AtEnd()) return Expected("AND, OR or the end");
    return parsed;
  }

 private:
  bool AtEnd() const { return at_ == text_.size(); }
  char Peek() const { return AtEnd() ? '\0' : text_[at_]; }
  void Skip() {
    while (!AtEnd() && absl::ascii_isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }
  // Takes `token` and the space behind it.
  bool Take(absl::string_view token) {
    if (text_.substr(at_, token.size()) != token) return false;
    at_ += token.size();
    Skip();
    return true;
  }
  // Takes a keyword, which no other word may go on.
  bool TakeWord(absl::string_view word) {
    const size_t end = at_ + word.size();
    if (text_.substr(at_, word.size()) != word) return false;
    if (end < text_.size() && IsWordByte(text_[end])) return false;
    return Take(word);
  }
  absl::Status Expected(absl::string_view what) const {
    const std::string found =
        AtEnd() ? "it ends" : absl::StrCat("'", text_.substr(at_, 16), "' stands there");
    return absl::InvalidArgumentError(
        absl::StrCat("filter: at byte ", at_, " ", what, " is needed; ", found));
  }

  // {Any AND} Any
  absl::StatusOr<Expression> ParseAll(size_t depth) {
    // Every level of the text may be one of each kind in the tree.
    if (3 * depth > Limits::kDepth) {
      return absl::InvalidArgumentError(absl::StrCat(
          "filter: at byte ", at_, " parentheses are nested deeper than ", Limits::kDepth / 3));
    }
    return ParseSeries(Kind::kAll, "AND", [&] { return ParseAny(depth); });
  }
  // {Term OR} Term
  absl::StatusOr<Expression> ParseAny(size_t depth) {
    return ParseSeries(Kind::kAny, "OR", [&] { return ParseTerm(depth); });
  }
  template <typename Part>
  absl::StatusOr<Expression> ParseSeries(Kind kind, absl::string_view word, const Part& part) {
    MRL_ASSIGN_OR_RETURN(Expression first, part());
    if (!TakeWord(word)) return first;
    Expression series{.kind = kind};
    series.children.push_back(std::move(first));
    do {
      MRL_ASSIGN_OR_RETURN(Expression next, part());
      series.children.push_back(std::move(next));
    } while (TakeWord(word));
    return series;
  }

  absl::StatusOr<Expression> ParseTerm(size_t depth) {
    const bool is_none = TakeWord("NOT") || (Peek() == '-' && Take("-"));
    MRL_ASSIGN_OR_RETURN(Expression simple, ParseSimple(depth));
    return is_none ? Not(std::move(simple)) : simple;
  }
  static Expression Not(Expression child) {
    Expression none{.kind = Kind::kNone};
    none.children.push_back(std::move(child));
    return none;
  }
  absl::StatusOr<Expression> ParseSimple(size_t depth) {
    if (!Take("(")) return ParseCondition();
    MRL_ASSIGN_OR_RETURN(Expression inner, ParseAll(depth + 1));
    if (!Take(")")) return Expected("')'");
    return inner;
  }

  absl::StatusOr<Expression> ParseCondition() {
    const std::string name = TakeBare();
    if (name.empty()) return Expected("a field");
    if (Peek() == '(') return ParseCall(name);
    Expression condition{.kind = Kind::kIn, .field = name};
    if (Take("!=")) {
      MRL_RETURN_IF_ERROR(ParseValueInto(condition));
      return Not(std::move(condition));
    }
    if (Take(":")) {
      if (Take("*")) {
        condition.kind = Kind::kExists;
        return condition;
      }
      MRL_RETURN_IF_ERROR(ParseValueInto(condition));
      return condition;
    }
    if (Take("=")) {
      MRL_RETURN_IF_ERROR(ParseValueInto(condition));
      return condition;
    }
    return ParseRange(std::move(condition));
  }
  absl::StatusOr<Expression> ParseRange(Expression condition) {
    const bool is_low = Peek() == '>';
    if (!is_low && Peek() != '<') return Expected("one of = != < <= > >= :");
    ++at_;
    const bool inclusive = Peek() == '=';
    if (inclusive) ++at_;
    Skip();
    MRL_ASSIGN_OR_RETURN(Literal value, ParseValue());
    condition.kind = Kind::kRange;
    (is_low ? condition.low : condition.high) = {std::move(value), inclusive};
    return condition;
  }
  absl::StatusOr<Expression> ParseCall(const std::string& name) {
    Take("(");
    if (name == "ids") {
      Expression call{.kind = Kind::kIds};
      do {
        MRL_ASSIGN_OR_RETURN(const Literal value, ParseValue());
        call.ids.push_back(ToId(value));
      } while (Take(","));
      if (!Take(")")) return Expected("',' or ')'");
      return call;
    }
    if (name != "in") {
      return absl::InvalidArgumentError(
          absl::StrCat("filter: there is no function '", name, "'; in and ids are known"));
    }
    Expression call{.kind = Kind::kIn, .field = TakeBare()};
    if (call.field.empty()) return Expected("a field");
    while (Take(",")) MRL_RETURN_IF_ERROR(ParseValueInto(call));
    if (call.values.empty()) return Expected("',' and a value");
    if (!Take(")")) return Expected("',' or ')'");
    return call;
  }
  static PointId ToId(const Literal& value) {
    const auto* word = std::get_if<BareWord>(&value);
    if (word == nullptr) return PointId(std::get<std::string>(value));
    uint64_t number = 0;
    return absl::SimpleAtoi(word->text, &number) ? PointId(number) : PointId(word->text);
  }

  absl::Status ParseValueInto(Expression& condition) {
    MRL_ASSIGN_OR_RETURN(Literal value, ParseValue());
    condition.values.push_back(std::move(value));
    return absl::OkStatus();
  }
  absl::StatusOr<Literal> ParseValue() {
    if (Peek() == '"' || Peek() == '\'') return ParseQuoted();
    BareWord word{TakeBare(/*is_value=*/true)};
    if (word.text.empty()) return Expected("a value");
    return Literal(std::move(word));
  }
  absl::StatusOr<Literal> ParseQuoted() {
    const char quote = text_[at_++];
    std::string value;
    while (!AtEnd() && text_[at_] != quote) {
      if (text_[at_] == '\\') {
        ++at_;
        if (Peek() != '\\' && Peek() != '"' && Peek() != '\'') {
          return Expected("a quote or a backslash behind a backslash");
        }
      }
      value.push_back(text_[at_++]);
    }
    if (AtEnd()) return Expected("the closing quote");
    ++at_;
    Skip();
    return Literal(std::move(value));
  }
  // A value may have the colons of a datetime.
  std::string TakeBare(bool is_value = false) {
    const size_t begin = at_;
    while (!AtEnd() && (IsWordByte(text_[at_]) || (is_value && text_[at_] == ':'))) ++at_;
    std::string word(text_.substr(begin, at_ - begin));
    Skip();
    return word;
  }

  const absl::string_view text_;
  size_t at_ = 0;
};

}  // namespace

absl::StatusOr<Expression> ParseExpression(absl::string_view text) {
  if (text.size() > Limits::kTextBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the filter has ", text.size(), " bytes; the limit is ", Limits::kTextBytes));
  }
  MRL_ASSIGN_OR_RETURN(Expression parsed, Parser(text).Parse());
  MRL_RETURN_IF_ERROR(CheckLimits(parsed));
  return parsed;
}

}  // namespace mrl::filter
