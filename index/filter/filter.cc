#include "index/filter/filter.h"

#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace mrl::filter {
namespace {

using Kind = Expression::Kind;

constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
constexpr int64_t kGreatest = std::numeric_limits<int64_t>::max();

std::string Show(const Literal& literal) {
  struct Shower {
    std::string operator()(const std::string& text) const {
      return absl::StrCat("'", text.substr(0, 64), "'");
    }
    std::string operator()(const BareWord& word) const { return word.text.substr(0, 64); }
    std::string operator()(int64_t number) const { return absl::StrCat(number); }
    std::string operator()(double number) const { return absl::StrCat(number); }
    std::string operator()(bool flag) const { return flag ? "true" : "false"; }
    std::string operator()(absl::Time time) const { return absl::FormatTime(time); }
  };
  return std::visit(Shower(), literal);
}

absl::Status WrongType(const Field& field, const Literal& literal, absl::string_view needed) {
  return absl::InvalidArgumentError(absl::StrCat("filter: field '", field.name, "' is ",
                                                 ToString(field.type), "; ", Show(literal),
                                                 " is not ", needed));
}

absl::StatusOr<Value> BindInt(const Field& field, const Literal& literal) {
  if (const auto* number = std::get_if<int64_t>(&literal)) return Value{.key = *number};
  const auto* word = std::get_if<BareWord>(&literal);
  Value value;
  if (word != nullptr && absl::SimpleAtoi(word->text, &value.key)) return value;
  return WrongType(field, literal, "a whole number of 64 bits");
}

absl::StatusOr<Value> BindFloat(const Field& field, const Literal& literal) {
  std::optional<double> number;
  if (const auto* whole = std::get_if<int64_t>(&literal)) number = static_cast<double>(*whole);
  if (const auto* real = std::get_if<double>(&literal)) number = *real;
  double parsed = 0;
  const auto* word = std::get_if<BareWord>(&literal);
  if (word != nullptr && absl::SimpleAtod(word->text, &parsed)) number = parsed;
  if (number.has_value() && std::isfinite(*number)) return Value{.key = OrderedKey(*number)};
  return WrongType(field, literal, "a number");
}

absl::StatusOr<Value> BindBool(const Field& field, const Literal& literal) {
  const auto* word = std::get_if<BareWord>(&literal);
  if (const auto* flag = std::get_if<bool>(&literal)) return Value{.key = *flag ? 1 : 0};
  if (word != nullptr && word->text == "true") return Value{.key = 1};
  if (word != nullptr && word->text == "false") return Value{.key = 0};
  return WrongType(field, literal, "true or false");
}

absl::StatusOr<Value> BindDatetime(const Field& field, const Literal& literal) {
  absl::StatusOr<int64_t> key = absl::InvalidArgumentError("");
  if (const auto* time = std::get_if<absl::Time>(&literal)) key = DatetimeKey(*time);
  if (const auto* word = std::get_if<BareWord>(&literal)) key = ParseDatetime(word->text);
  if (const auto* text = std::get_if<std::string>(&literal)) key = ParseDatetime(*text);
  if (key.ok()) return Value{.key = *key};
  return WrongType(field, literal, "a datetime, such as 2024-05-01T12:00:00Z");
}

absl::StatusOr<Value> BindValue(const Field& field, const Literal& literal) {
  switch (field.type) {
    case FieldType::kKeyword:
      if (const auto* text = std::get_if<std::string>(&literal)) return Value{.text = *text};
      if (const auto* word = std::get_if<BareWord>(&literal)) return Value{.text = word->text};
      return WrongType(field, literal, "a text");
    case FieldType::kInt:
      return BindInt(field, literal);
    case FieldType::kFloat:
      return BindFloat(field, literal);
    case FieldType::kBool:
      return BindBool(field, literal);
    case FieldType::kDatetime:
      return BindDatetime(field, literal);
  }
  return absl::InternalError("a field of an unknown type");
}

absl::StatusOr<size_t> FindField(const std::string& name, const std::vector<Field>& fields) {
  for (size_t i = 0; i < fields.size(); ++i) {
    if (fields[i].name == name) return i;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("filter: field '", name.substr(0, 64),
                   "' is not indexed; these are: ", FormatFields(fields)));
}

}  // namespace

absl::Status Filter::BindRange(const Expression& expression, const Field& field, Node* node) {
  if (field.type == FieldType::kKeyword || field.type == FieldType::kBool) {
    return absl::InvalidArgumentError(absl::StrCat("filter: field '", field.name, "' is ",
                                                   ToString(field.type),
                                                   ", which has no order; int, float and datetime "
                                                   "have"));
  }
  node->low = kLeast;
  node->high = kGreatest;
  bool is_empty = false;
  if (expression.low.has_value()) {
    MRL_ASSIGN_OR_RETURN(const Value value, BindValue(field, expression.low->value));
    is_empty = !expression.low->inclusive && value.key == kGreatest;
    node->low = expression.low->inclusive || is_empty ? value.key : value.key + 1;
  }
  if (expression.high.has_value()) {
    MRL_ASSIGN_OR_RETURN(const Value value, BindValue(field, expression.high->value));
    is_empty = is_empty || (!expression.high->inclusive && value.key == kLeast);
    node->high = expression.high->inclusive || is_empty ? value.key : value.key - 1;
  }
  if (is_empty) {
    node->low = 1;
    node->high = 0;
  }
  return absl::OkStatus();
}

absl::StatusOr<Filter::Node> Filter::Bind(const Expression& expression,
                                          const std::vector<Field>& fields) {
  Node node{.kind = expression.kind};
  for (const Expression& child : expression.children) {
    MRL_ASSIGN_OR_RETURN(Node bound, Bind(child, fields));
    node.children.push_back(std::move(bound));
  }
  for (const PointId& id : expression.ids) MRL_RETURN_IF_ERROR(id.Validate());
  node.ids = expression.ids;
  const bool has_field =
      node.kind == Kind::kIn || node.kind == Kind::kRange || node.kind == Kind::kExists;
  if (!has_field) return node;
  MRL_ASSIGN_OR_RETURN(node.field, FindField(expression.field, fields));
  const Field& field = fields[node.field];
  for (const Literal& literal : expression.values) {
    MRL_ASSIGN_OR_RETURN(Value value, BindValue(field, literal));
    node.values.push_back(std::move(value));
  }
  if (node.kind == Kind::kRange) MRL_RETURN_IF_ERROR(BindRange(expression, field, &node));
  return node;
}

absl::StatusOr<Filter> Filter::Make(const Expression& expression,
                                    const std::vector<Field>& fields) {
  MRL_RETURN_IF_ERROR(CheckLimits(expression));
  Filter filter;
  MRL_ASSIGN_OR_RETURN(filter.root_, Bind(expression, fields));
  filter.fields_ = fields;
  return filter;
}

RowSet Filter::Evaluate(const Node& node, const store::Segment& segment, const FieldIndex* fields) {
  RowSet rows(segment.rows());
  switch (node.kind) {
    case Kind::kAll:
      rows.Complement();
      for (const Node& child : node.children) rows.KeepOnly(Evaluate(child, segment, fields));
      break;
    case Kind::kAny:
    case Kind::kNone:
      for (const Node& child : node.children) rows.AddAll(Evaluate(child, segment, fields));
      if (node.kind == Kind::kNone) rows.Complement();
      break;
    case Kind::kIn:
      for (const Value& value : node.values) fields->AddEqual(node.field, value, &rows);
      break;
    case Kind::kRange:
      fields->AddRange(node.field, node.low, node.high, &rows);
      break;
    case Kind::kExists:
      fields->AddPresent(node.field, &rows);
      break;
    case Kind::kIds:
      for (const PointId& id : node.ids) {
        if (const std::optional<uint32_t> row = segment.Find(id)) rows.Add(*row);
      }
      break;
  }
  return rows;
}

RowSet Filter::Matching(const store::Segment& segment, const FieldIndex* fields) const {
  return Evaluate(root_, segment, fields);
}

}  // namespace mrl::filter
