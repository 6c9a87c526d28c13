#include "index/collection/prepare.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/collection/database.h"
#include "index/store/check_vector.h"
#include "index/store/segment.h"
#include "index/transform/transform.h"

namespace mrl::collection {
namespace {

absl::Status CheckPoint(const Schema& schema, const PointWrite& point) {
  MRL_RETURN_IF_ERROR(point.id.Validate());
  if (point.vector.size() != schema.dim) {
    return absl::InvalidArgumentError(absl::StrCat("its vector has ", point.vector.size(),
                                                   " dimensions; the collection has ", schema.dim));
  }
  return absl::OkStatus();
}

absl::StatusOr<PreparedPoint> PrepareOne(const Schema& schema, PointWrite point) {
  MRL_RETURN_IF_ERROR(CheckPoint(schema, point));
  PreparedPoint prepared;
  prepared.condition = point.condition;
  prepared.sequence = point.sequence;
  store::StoredRow& row = prepared.row;
  row.id = std::move(point.id);
  row.vector = std::move(point.vector);
  row.payload = std::move(point.payload);
  transform::Apply(schema, row.vector.data(), schema.dim, row.vector.data(), &row.mean,
                   &row.deviation);
  const store::VectorProblem problem = store::CheckVector(schema, row.vector.data());
  if (problem != store::VectorProblem::kNone) {
    return absl::InvalidArgumentError(store::Describe(problem, schema, row.vector.data()));
  }
  store::RoundToStorage(schema, row.vector.data());
  MRL_ASSIGN_OR_RETURN(prepared.values, filter::ReadValues(schema.fields, row.payload));
  prepared.bytes = store::EncodeRow(schema, row);
  return prepared;
}

}  // namespace

std::vector<size_t> LastOfEach(const std::vector<std::string>& keys) {
  std::set<absl::string_view> seen;
  std::vector<size_t> last;
  for (size_t i = keys.size(); i-- > 0;) {
    if (seen.insert(keys[i]).second) last.push_back(i);
  }
  std::reverse(last.begin(), last.end());
  return last;
}

absl::StatusOr<std::vector<PreparedPoint>> Prepare(const Schema& schema,
                                                   std::vector<PointWrite> points) {
  std::vector<PreparedPoint> prepared;
  std::vector<std::string> keys;
  prepared.reserve(points.size());
  for (size_t i = 0; i < points.size(); ++i) {
    const std::string name = points[i].id.ToString();
    auto one = PrepareOne(schema, std::move(points[i]));
    if (!one.ok()) {
      // Of a single one the caller knows the place, which may be another in what it was asked.
      const std::string place = points.size() == 1 ? "" : absl::StrCat(i, " ");
      return Annotate(one.status(), absl::StrCat("point ", place, "('", name.substr(0, 64), "')"));
    }
    keys.push_back(IdKey(one->row.id));
    prepared.push_back(*std::move(one));
  }
  std::vector<PreparedPoint> kept;
  for (const size_t i : LastOfEach(keys)) kept.push_back(std::move(prepared[i]));
  return kept;
}

}  // namespace mrl::collection
