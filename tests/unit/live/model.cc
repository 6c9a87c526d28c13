#include "tests/unit/live/model.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "index/coarse/stand_in.h"
#include "index/funnel/filtered.h"
#include "index/transform/transform.h"
#include "tests/unit/live/filters.h"

namespace mrl::test {
namespace {

absl::StatusOr<funnel::Output> Search(const funnel::View& view, const std::string& text,
                                      const std::vector<float>& query, uint32_t k,
                                      bool narrowed = false, uint64_t rows = 0) {
  funnel::PlanInput input;
  input.schema = &view.schema;
  input.kinds = {"scan"};
  input.k = k;
  input.query_dims = view.schema.dim;
  input.exact = text == "exact";
  if (!input.exact) {
    MRL_ASSIGN_OR_RETURN(input.funnel, funnel::ParseFunnel(text));
  }
  MRL_ASSIGN_OR_RETURN(funnel::Plan plan, funnel::MakePlan(input));
  if (narrowed) plan = funnel::NarrowPlan(plan, view.schema, view.rows(), rows);
  return funnel::Run(view, plan, query, {});
}

}  // namespace

ModelPoint Stored(const Schema& schema, std::vector<float> vector) {
  ModelPoint point;
  point.vector = std::move(vector);
  if (schema.transform == Transform::kLayerNorm) {
    transform::LayerNorm(point.vector.data(), schema.dim, point.vector.data(), &point.mean,
                         &point.deviation);
  }
  store::RoundToStorage(schema, point.vector.data());
  return point;
}

absl::Status Model::CompareId(const collection::Collection& collection, const PointId& id) const {
  const auto differs = [&](absl::string_view what) {
    return absl::InternalError(absl::StrCat("point '", id.ToString(), "': ", what));
  };
  const auto at = funnel::Find(collection.view(), id);
  const auto expected = points_.find(id);
  if (at.has_value() != (expected != points_.end())) {
    return differs(at ? "it is there and should not be" : "it is lost");
  }
  if (!at) return absl::OkStatus();
  const store::Segment& segment = *collection.view().parts[at->part].segment;
  const ModelPoint& point = expected->second;
  std::vector<float> vector(schema_.dim);
  CHECK(segment.Prefix(at->row, schema_.levels() - 1, vector.data()).ok());
  if (vector != point.vector) return differs("its vector is another");
  if (const float* moments = segment.MeanDeviation(at->row)) {
    if (moments[0] != point.mean || moments[1] != point.deviation) return differs("its moments");
  }
  if (segment.Sequence(at->row) != point.sequence) {
    return differs(absl::StrCat("it has sequence ", segment.Sequence(at->row), "; ", point.sequence,
                                " was expected"));
  }
  MRL_ASSIGN_OR_RETURN(const std::string payload, segment.Payload(at->row));
  if (payload != point.payload) return differs(absl::StrCat("its payload is ", payload));
  return absl::OkStatus();
}

absl::Status Model::Compare(const collection::Collection& collection) const {
  if (collection.rows() != points_.size()) {
    return absl::InternalError(
        absl::StrCat("it has ", collection.rows(), " rows; ", points_.size(), " were expected"));
  }
  for (const auto& [id, point] : points_) MRL_RETURN_IF_ERROR(CompareId(collection, id));
  return absl::OkStatus();
}

funnel::View Model::OnePart(const std::map<PointId, ModelPoint>& points) const {
  funnel::View view;
  view.schema = schema_;
  if (points.empty()) return view;
  static MemoryAccount account(uint64_t{1} << 34);
  auto tail = store::Tail::Create(schema_, static_cast<uint32_t>(points.size()), account);
  CHECK(tail.ok());
  for (const auto& [id, point] : points) {
    (*tail)->Append({.id = id,
                     .sequence = point.sequence,
                     .vector = point.vector,
                     .mean = point.mean,
                     .deviation = point.deviation,
                     .payload = point.payload});
  }
  auto segment = store::Tail::View(*tail, (*tail)->rows());
  view.parts.push_back({.segment = segment, .indexes = {coarse::MakeStandIn("scan", segment)}});
  return view;
}

absl::Status Model::CompareViews(const funnel::View& view, const funnel::View& one,
                                 const std::vector<float>& query, uint32_t k) const {
  MRL_ASSIGN_OR_RETURN(const funnel::Output expected, Search(one, "exact", query, k));
  const uint32_t all = std::max<uint32_t>(static_cast<uint32_t>(points_.size()), k);
  const std::string funnel = absl::StrCat(schema_.ladder[0], ":", all, ",", schema_.dim, ":", k);
  for (const std::string& text :
       {std::string("exact"), funnel, absl::StrCat("narrowed ", funnel)}) {
    const bool narrowed = absl::StartsWith(text, "narrowed ");
    MRL_ASSIGN_OR_RETURN(const funnel::Output found, Search(view, narrowed ? funnel : text, query,
                                                            k, narrowed, points_.size()));
    if (found.hits.size() != expected.hits.size()) {
      return absl::InternalError(absl::StrCat(text, ": ", found.hits.size(), " hits; ",
                                              expected.hits.size(), " were expected"));
    }
    for (size_t i = 0; i < found.hits.size(); ++i) {
      const auto id_of = [](const funnel::View& of, const funnel::Hit& hit) {
        return of.parts[hit.at.part].segment->Id(hit.at.row);
      };
      const PointId id = id_of(view, found.hits[i]);
      if (id != id_of(one, expected.hits[i]) || found.hits[i].score != expected.hits[i].score) {
        return absl::InternalError(absl::StrCat(text, ": hit ", i, " is '", id.ToString(),
                                                "' with ", found.hits[i].score, "; ",
                                                id_of(one, expected.hits[i]).ToString(), " with ",
                                                expected.hits[i].score, " was expected"));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status Model::CompareSearch(const collection::Collection& collection,
                                  const std::vector<float>& query, uint32_t k) const {
  return CompareViews(collection.view(), OnePart(points_), query, k);
}

absl::Status Model::CompareFiltered(const collection::Collection& collection,
                                    const filter::Expression& expression,
                                    const std::vector<float>& query, uint32_t k) const {
  std::map<PointId, ModelPoint> matching;
  for (const auto& [id, point] : points_) {
    if (Matches(expression, id, point.payload)) matching[id] = point;
  }
  MRL_ASSIGN_OR_RETURN(const filter::Filter filter,
                       filter::Filter::Make(expression, schema_.fields));
  const funnel::View view = funnel::Narrow(collection.view(), filter);
  if (view.rows() != matching.size()) {
    return absl::InternalError(absl::StrCat("the filter matches ", view.rows(), " points; ",
                                            matching.size(), " were expected"));
  }
  for (const auto& [id, point] : matching) {
    if (funnel::Find(view, id).has_value()) continue;
    return absl::InternalError(absl::StrCat("the filter does not match '", id.ToString(), "'"));
  }
  return CompareViews(view, OnePart(matching), query, k);
}

}  // namespace mrl::test
