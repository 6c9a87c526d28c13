// A filter as a caller writes it: which rows a search may find.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "index/schema/point_id.h"

namespace mrl::filter {

// A value as it was written. What a bare word means depends on the field's type.
struct BareWord {
  std::string text;
  bool operator==(const BareWord&) const = default;
};
using Literal = std::variant<std::string, BareWord, int64_t, double, bool, absl::Time>;

struct Expression {
  enum class Kind : uint8_t {
    kAll,     // every child holds; without children every row
    kAny,     // at least one child holds
    kNone,    // no child holds
    kIn,      // the field has one of `values`
    kRange,   // the field has a value between `low` and `high`
    kExists,  // the field has a value
    kIds,     // the row's id is one of `ids`
  };
  struct Bound {
    Literal value;
    bool inclusive = true;
    bool operator==(const Bound&) const = default;
  };

  Kind kind = Kind::kAll;
  std::vector<Expression> children = {};
  std::string field = {};
  std::vector<Literal> values = {};
  std::optional<Bound> low = {};
  std::optional<Bound> high = {};
  std::vector<PointId> ids = {};

  bool operator==(const Expression&) const = default;
};

struct Limits {
  static constexpr size_t kTextBytes = 64 << 10;
  static constexpr size_t kDepth = 32;       // of nested expressions
  static constexpr size_t kNodes = 1000;     // expressions in all
  static constexpr size_t kValues = 10'000;  // values and ids in all
};

// A subset of AIP-160 (google.aip.dev/160), where OR binds tighter than AND:
//
//   filter = term {"OR" term} {"AND" term {"OR" term}}
//   term = ["NOT" | "-"] ( "(" filter ")" | condition )
//   condition = field ("=" | "!=" | "<" | "<=" | ">" | ">=" | ":") value
//             | field ":" "*" | "in(" field "," value {"," value} ")" | "ids(" id {"," id} ")"
//
// A value is a text in quotes, with backslashes before quotes and backslashes, or a bare word: a
// number, true, false, a datetime. "" matches every row. INVALID_ARGUMENT says what was expected
// and at which byte.
absl::StatusOr<Expression> ParseExpression(absl::string_view text);

// INVALID_ARGUMENT names the limit that `expression` is beyond.
absl::Status CheckLimits(const Expression& expression);

}  // namespace mrl::filter
