#include "server/service/asked.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/funnel/filtered.h"
#include "server/limits.h"
#include "server/service/convert.h"
#include "server/service/points.h"

namespace mrl::server {
namespace {

using collection::Collection;

// Room that the stats and the fields around the hits may take.
constexpr uint64_t kStatsRoom = 16 << 10;

absl::Status ReplyTooLarge(size_t hits) {
  return absl::ResourceExhaustedError(
      absl::StrCat("the reply with ", hits, " hits is larger than ", Limits::kReplyBytes,
                   " bytes, the limit of Search; BatchSearch streams such results, or ask for a "
                   "smaller k or for "
                   "no vectors and payloads"));
}

}  // namespace

bool HitWriter::Wanted(const funnel::Hit& hit) const {
  if (!options_.has_score_threshold()) return true;
  return LargerIsNearer(collection_.schema().metric) ? hit.score >= options_.score_threshold()
                                                     : hit.score <= options_.score_threshold();
}

absl::Status HitWriter::Write(const funnel::Hit& hit, v1::Hit* out) const {
  const store::Segment& segment = *collection_.view().parts[hit.at.part].segment;
  ToProto(segment.Id(hit.at.row), out->mutable_id());
  out->set_score(hit.score);
  if (options_.with_payload()) {
    MRL_ASSIGN_OR_RETURN(*out->mutable_payload_json(), segment.Payload(hit.at.row));
  }
  if (options_.with_vector()) {
    std::vector<float> vector(collection_.schema().dim);
    MRL_RETURN_IF_ERROR(segment.Vector(hit.at.row, vector.data()));
    ToProto(vector, out->mutable_vector());
  }
  return absl::OkStatus();
}

absl::StatusOr<Query> ReadQuery(const Collection& collection, const v1::SearchRequest& request) {
  Query query;
  const Schema& schema = collection.schema();
  if (request.has_vector()) {
    MRL_ASSIGN_OR_RETURN(const size_t dims, CountElements(request.vector(), "vector"));
    MRL_RETURN_IF_ERROR(CheckQueryDims(request.collection(), schema, dims, "vector"));
    query.vector = Elements(request.vector(), 0, dims);
    return query;
  }
  if (!request.has_id()) {
    return InvalidField("query", "the request has no query; a vector or an id is needed");
  }
  MRL_ASSIGN_OR_RETURN(const PointId id, FromProto(request.id(), "id"));
  const auto at = funnel::Find(collection.view(), id);
  if (!at) {
    return absl::NotFoundError(absl::StrCat("point '", id.ToString(), "' is not in collection '",
                                            request.collection(), "'"));
  }
  query.vector.resize(schema.dim);
  MRL_RETURN_IF_ERROR(
      collection.view().parts[at->part].segment->Vector(at->row, query.vector.data()));
  if (!request.include_self()) query.leave_out = at;
  return query;
}

// Fits `*plan` to what is left.
absl::StatusOr<std::optional<Narrowed>> Narrow(const Collection& collection,
                                               const v1::SearchOptions& options,
                                               funnel::Plan* plan) {
  MRL_ASSIGN_OR_RETURN(const auto filter, FilterOf(options, collection.schema()));
  if (!filter.has_value()) return std::optional<Narrowed>();
  Narrowed narrowed{.view = funnel::Narrow(collection.view(), *filter)};
  narrowed.rows = narrowed.view.rows();
  *plan = funnel::NarrowPlan(*plan, collection.schema(), narrowed.rows, collection.rows());
  return std::optional<Narrowed>(std::move(narrowed));
}

absl::StatusOr<Asked> Ask(const Registry& registry, const v1::SearchRequest& request) {
  Asked asked;
  if (request.options().group_by().empty() && request.options().group_size() > 0) {
    return InvalidField("options.group_size", "group_size was given without group_by");
  }
  MRL_ASSIGN_OR_RETURN(asked.collection, registry.Find(request.collection()));
  MRL_RETURN_IF_ERROR(
      CheckSequence(*asked.collection, request.collection(), request.options().min_sequence()));
  MRL_ASSIGN_OR_RETURN(asked.query, ReadQuery(*asked.collection, request));
  MRL_ASSIGN_OR_RETURN(asked.chosen, MakePlan(*asked.collection, request.options(),
                                              static_cast<uint32_t>(asked.query.vector.size())));
  MRL_ASSIGN_OR_RETURN(asked.narrowed,
                       Narrow(*asked.collection, request.options(), &asked.chosen.plan));
  return asked;
}

funnel::TileQuery ToTile(const Call& call, const Query& query) {
  return {query.vector,
          {.stopped = [&call] { return call.stopped(); },
           .leave_out = query.leave_out,
           .helpers = call.helpers()}};
}

absl::Status Reply(Call& call, const v1::SearchRequest& request, const Asked& asked,
                   const absl::StatusOr<funnel::Output>& output, v1::SearchResponse* response) {
  if (!output.ok()) return WithField(output.status(), "vector");
  call.Report(output->trace, asked.plan());
  const HitWriter writer(*asked.collection, request.options());
  uint64_t bytes = kStatsRoom;
  for (const funnel::Hit& found : writer.Page(output->hits)) {
    if (!writer.Wanted(found)) continue;
    v1::Hit* hit = response->add_hits();
    MRL_RETURN_IF_ERROR(writer.Write(found, hit));
    bytes += hit->ByteSizeLong() + kMessageOverhead;
    if (bytes > Limits::kReplyBytes) return ReplyTooLarge(output->hits.size());
  }
  v1::SearchStats* stats = response->mutable_stats();
  ToProto(output->trace, asked.chosen, *asked.collection, stats);
  stats->set_queue_micros(call.queue_micros());
  stats->set_total_micros(call.elapsed_micros());
  if (asked.narrowed) stats->set_rows_matched(asked.narrowed->rows);
  return absl::OkStatus();
}

absl::Status ExpectPlainOptions(const v1::SearchOptions& options) {
  if (!options.group_by().empty() || options.group_size() > 0) {
    return InvalidField("options.group_by", "groups are for Search only, with group_by");
  }
  if (options.anytime()) {
    return InvalidField("options.anytime", "anytime is set; only Search takes it");
  }
  if (options.has_adaptive_keep()) {
    return InvalidField("options.adaptive_keep", "adaptive_keep is set; only Search takes it");
  }
  if (!options.has_early_exit()) return absl::OkStatus();
  return InvalidField("options.early_exit", "early_exit is set; only Search takes it");
}

}  // namespace mrl::server
