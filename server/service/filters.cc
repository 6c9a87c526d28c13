// Filters of requests as the engine's.
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "index/filter/expression.h"
#include "server/rpc/error.h"
#include "server/service/convert.h"

namespace mrl::server {
namespace {

using filter::Expression;

constexpr char kTreeField[] = "filter_tree";

absl::StatusOr<filter::Literal> FromProto(const v1::FilterValue& value) {
  switch (value.value_case()) {
    case v1::FilterValue::kText:
      return filter::Literal(value.text());
    case v1::FilterValue::kInteger:
      return filter::Literal(int64_t{value.integer()});
    case v1::FilterValue::kNumber:
      return filter::Literal(value.number());
    case v1::FilterValue::kFlag:
      return filter::Literal(value.flag());
    case v1::FilterValue::kTime:
      return filter::Literal(absl::FromUnixSeconds(value.time().seconds()) +
                             absl::Nanoseconds(value.time().nanos()));
    case v1::FilterValue::VALUE_NOT_SET:
      break;
  }
  return InvalidField(kTreeField, "a value of the filter is empty");
}

absl::StatusOr<Expression> FromProto(const v1::Filter::Range& range) {
  Expression out{.kind = Expression::Kind::kRange, .field = range.field()};
  if (range.has_above() || range.has_at_least()) {
    const bool inclusive = range.has_at_least();
    MRL_ASSIGN_OR_RETURN(filter::Literal value,
                         FromProto(inclusive ? range.at_least() : range.above()));
    out.low = {std::move(value), inclusive};
  }
  if (range.has_below() || range.has_at_most()) {
    const bool inclusive = range.has_at_most();
    MRL_ASSIGN_OR_RETURN(filter::Literal value,
                         FromProto(inclusive ? range.at_most() : range.below()));
    out.high = {std::move(value), inclusive};
  }
  return out;
}

absl::StatusOr<Expression> FromProto(const v1::Filter& tree, size_t depth);

absl::StatusOr<Expression> FromProto(Expression::Kind kind, const v1::Filter::List& list,
                                     size_t depth) {
  Expression out{.kind = kind};
  for (const v1::Filter& child : list.filters()) {
    MRL_ASSIGN_OR_RETURN(Expression converted, FromProto(child, depth + 1));
    out.children.push_back(std::move(converted));
  }
  return out;
}

absl::StatusOr<Expression> FromProto(const v1::Filter& tree, size_t depth) {
  if (depth > filter::Limits::kDepth) {
    return InvalidField(kTreeField, absl::StrCat("the filter has more levels than ",
                                                 filter::Limits::kDepth, ", the limit"));
  }
  Expression out;
  switch (tree.kind_case()) {
    case v1::Filter::kAll:
      return FromProto(Expression::Kind::kAll, tree.all(), depth);
    case v1::Filter::kAny:
      return FromProto(Expression::Kind::kAny, tree.any(), depth);
    case v1::Filter::kNone:
      return FromProto(Expression::Kind::kNone, tree.none(), depth);
    case v1::Filter::kRange:
      return FromProto(tree.range());
    case v1::Filter::kIn:
      out.kind = Expression::Kind::kIn;
      out.field = tree.in().field();
      for (const v1::FilterValue& value : tree.in().values()) {
        MRL_ASSIGN_OR_RETURN(filter::Literal literal, FromProto(value));
        out.values.push_back(std::move(literal));
      }
      return out;
    case v1::Filter::kExists:
      out.kind = Expression::Kind::kExists;
      out.field = tree.exists();
      return out;
    case v1::Filter::kIds:
      out.kind = Expression::Kind::kIds;
      for (const v1::PointId& id : tree.ids().ids()) {
        MRL_ASSIGN_OR_RETURN(PointId converted, server::FromProto(id, kTreeField));
        out.ids.push_back(std::move(converted));
      }
      return out;
    case v1::Filter::KIND_NOT_SET:
      break;
  }
  return InvalidField(kTreeField, "a condition of the filter is empty");
}

}  // namespace

absl::StatusOr<filter::Filter> ReadFilter(const std::string& text, const Schema& schema) {
  const auto parsed = filter::ParseExpression(text);
  if (!parsed.ok()) return WithField(parsed.status(), "filter");
  auto made = filter::Filter::Make(*parsed, schema.fields);
  if (!made.ok()) return WithField(made.status(), "filter");
  return made;
}

absl::StatusOr<filter::Filter> ReadFilter(const v1::Filter& tree, const Schema& schema) {
  MRL_ASSIGN_OR_RETURN(const Expression expression, FromProto(tree, 1));
  auto made = filter::Filter::Make(expression, schema.fields);
  if (!made.ok()) return WithField(made.status(), kTreeField);
  return made;
}

}  // namespace mrl::server
