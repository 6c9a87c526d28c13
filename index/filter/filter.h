// A filter that was held against a schema and can be asked for its rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "index/filter/expression.h"
#include "index/filter/field_index.h"
#include "index/filter/row_set.h"
#include "index/filter/value.h"
#include "index/schema/field.h"
#include "index/store/segment.h"

namespace mrl::filter {

// Thread-safe: constant.
class Filter {
 public:
  // INVALID_ARGUMENT names a field that is not indexed (and those that are), a value that is none
  // of the field's type, a range over keywords or booleans, an id that cannot be, or the limit
  // that was passed.
  static absl::StatusOr<Filter> Make(const Expression& expression,
                                     const std::vector<Field>& fields);

  // Those that it was made for.
  const std::vector<Field>& fields() const { return fields_; }
  // The rows of `segment` that match, deleted ones too. `fields` is its index; null only where the
  // schema has no fields.
  RowSet Matching(const store::Segment& segment, const FieldIndex* fields) const;

 private:
  struct Node {
    Expression::Kind kind = Expression::Kind::kAll;
    std::vector<Node> children = {};
    size_t field = 0;
    std::vector<Value> values = {};
    int64_t low = 0;   // inclusive
    int64_t high = 0;  // inclusive; below `low` = nothing
    std::vector<PointId> ids = {};
  };
  static absl::StatusOr<Node> Bind(const Expression& expression, const std::vector<Field>& fields);
  static absl::Status BindRange(const Expression& expression, const Field& field, Node* node);
  static RowSet Evaluate(const Node& node, const store::Segment& segment, const FieldIndex* fields);

  Node root_;
  std::vector<Field> fields_;
};

}  // namespace mrl::filter
