#include "index/filter/expression.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace mrl::filter {
namespace {

struct Size {
  size_t nodes = 0;
  size_t values = 0;
};

absl::Status TooLarge(absl::string_view what, size_t limit) {
  return absl::InvalidArgumentError(
      absl::StrCat("the filter has more ", what, " than ", limit, ", the limit"));
}

absl::Status Measure(const Expression& expression, size_t depth, Size* size) {
  if (depth > Limits::kDepth) return TooLarge("levels", Limits::kDepth);
  if (++size->nodes > Limits::kNodes) return TooLarge("conditions", Limits::kNodes);
  size->values += expression.values.size() + expression.ids.size();
  if (size->values > Limits::kValues) return TooLarge("values", Limits::kValues);
  for (const Expression& child : expression.children) {
    MRL_RETURN_IF_ERROR(Measure(child, depth + 1, size));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckLimits(const Expression& expression) {
  Size size;
  return Measure(expression, 1, &size);
}

}  // namespace mrl::filter
