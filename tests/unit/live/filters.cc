#include "tests/unit/live/filters.h"

#include <algorithm>
#include <array>
#include <utility>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace mrl::test {
namespace {

using filter::Expression;
using filter::Literal;
using nlohmann::json;

constexpr const char* kDays[] = {"2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z",
                                 "2024-03-01T00:00:00Z"};

uint32_t Below(std::mt19937_64& random, uint32_t limit) {
  return static_cast<uint32_t>(random() % limit);
}

std::string Tag(std::mt19937_64& random) { return absl::StrCat("t", Below(random, 4)); }

// The texts of days sort as the days do.
json ToJson(const Literal& literal) {
  if (const auto* text = std::get_if<std::string>(&literal)) return *text;
  if (const auto* number = std::get_if<int64_t>(&literal)) return *number;
  if (const auto* number = std::get_if<double>(&literal)) return *number;
  return std::get<bool>(literal);
}

std::vector<json> ValuesOf(const std::string& field, const std::string& payload) {
  if (payload.empty()) return {};
  const json parsed = json::parse(payload);
  if (!parsed.contains(field) || parsed[field].is_null()) return {};
  if (!parsed[field].is_array()) return {parsed[field]};
  return {parsed[field].begin(), parsed[field].end()};
}

Literal RandomLiteral(std::mt19937_64& random, const std::string& field) {
  if (field == "tags") return Tag(random);
  if (field == "n") return static_cast<int64_t>(Below(random, 20));
  if (field == "x") return static_cast<double>(Below(random, 16)) / 8 - 1;
  if (field == "open") return Below(random, 2) == 0;
  return std::string(kDays[Below(random, 3)]);
}

Expression RandomLeaf(std::mt19937_64& random, const std::vector<PointId>& ids) {
  Expression leaf;
  const uint32_t choice = Below(random, 10);
  if (choice == 0) {
    leaf.kind = Expression::Kind::kIds;
    for (uint32_t i = 0; i < 5; ++i) {
      leaf.ids.push_back(ids[Below(random, static_cast<uint32_t>(ids.size()))]);
    }
    return leaf;
  }
  leaf.field = ModelFields()[Below(random, static_cast<uint32_t>(ModelFields().size()))].name;
  const bool has_order = leaf.field != "tags" && leaf.field != "open";
  if (choice == 1) {
    leaf.kind = Expression::Kind::kExists;
  } else if (choice < 6 || !has_order) {
    leaf.kind = Expression::Kind::kIn;
    for (uint32_t i = 0; i < 1 + Below(random, 3); ++i) {
      leaf.values.push_back(RandomLiteral(random, leaf.field));
    }
  } else {
    leaf.kind = Expression::Kind::kRange;
    if (choice != 6) leaf.low = {RandomLiteral(random, leaf.field), Below(random, 2) == 0};
    if (choice != 7) leaf.high = {RandomLiteral(random, leaf.field), Below(random, 2) == 0};
  }
  return leaf;
}

Expression RandomTree(std::mt19937_64& random, const std::vector<PointId>& ids, uint32_t depth) {
  if (depth == 0 || Below(random, 3) == 0) return RandomLeaf(random, ids);
  constexpr std::array kKinds = {Expression::Kind::kAll, Expression::Kind::kAny,
                                 Expression::Kind::kNone};
  Expression inner{.kind = kKinds[Below(random, 3)]};
  for (uint32_t i = 0; i < Below(random, 4); ++i) {
    inner.children.push_back(RandomTree(random, ids, depth - 1));
  }
  return inner;
}

bool InRange(const Expression& range, const json& value) {
  if (range.low) {
    const json low = ToJson(range.low->value);
    if (range.low->inclusive ? value < low : value <= low) return false;
  }
  if (range.high) {
    const json high = ToJson(range.high->value);
    if (range.high->inclusive ? value > high : value >= high) return false;
  }
  return true;
}

}  // namespace

const std::vector<Field>& ModelFields() {
  static const auto* fields = new std::vector<Field>{{"tags", FieldType::kKeyword},
                                                     {"n", FieldType::kInt},
                                                     {"x", FieldType::kFloat},
                                                     {"open", FieldType::kBool},
                                                     {"at", FieldType::kDatetime}};
  return *fields;
}

std::string RandomPayload(std::mt19937_64& random) {
  if (Below(random, 4) == 0) return "";
  json payload = {{"text", std::string(Below(random, 300), 'x')}};
  if (Below(random, 3) > 0) {
    payload["tags"] = json::array();
    for (uint32_t i = 0; i < Below(random, 3); ++i) payload["tags"].push_back(Tag(random));
  }
  if (Below(random, 3) > 0) payload["n"] = Below(random, 20);
  if (Below(random, 3) > 0) payload["x"] = static_cast<double>(Below(random, 16)) / 8 - 1;
  if (Below(random, 3) > 0) payload["open"] = Below(random, 2) == 0;
  if (Below(random, 3) > 0) payload["at"] = kDays[Below(random, 3)];
  return payload.dump();
}

Expression RandomExpression(std::mt19937_64& random, const std::vector<PointId>& ids) {
  return RandomTree(random, ids, 3);
}

bool Matches(const Expression& expression, const PointId& id, const std::string& payload) {
  const auto matches = [&](const Expression& child) { return Matches(child, id, payload); };
  const auto& children = expression.children;
  switch (expression.kind) {
    case Expression::Kind::kAll:
      return std::all_of(children.begin(), children.end(), matches);
    case Expression::Kind::kAny:
      return std::any_of(children.begin(), children.end(), matches);
    case Expression::Kind::kNone:
      return std::none_of(children.begin(), children.end(), matches);
    case Expression::Kind::kIds:
      return std::find(expression.ids.begin(), expression.ids.end(), id) != expression.ids.end();
    default:
      break;
  }
  const std::vector<json> values = ValuesOf(expression.field, payload);
  return std::any_of(values.begin(), values.end(), [&](const json& value) {
    if (expression.kind == Expression::Kind::kExists) return true;
    if (expression.kind == Expression::Kind::kRange) return InRange(expression, value);
    return std::any_of(expression.values.begin(), expression.values.end(),
                       [&](const Literal& literal) { return ToJson(literal) == value; });
  });
}

}  // namespace mrl::test
