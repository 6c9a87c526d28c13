#include "server/service/search.h"

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "server/limits.h"
#include "server/service/convert.h"
#include "server/service/points.h"

namespace mrl::server {
namespace {

using collection::Collection;

// Hits become messages one by one, so that a reply that will not fit is noticed before it is built.
class HitWriter {
 public:
  HitWriter(const Collection& collection, const v1::SearchOptions& options)
      : collection_(collection), options_(options) {}

  // Whether a hit is near enough for the caller's threshold.
  bool Wanted(const funnel::Hit& hit) const {
    if (!options_.has_score_threshold()) return true;
    return LargerIsNearer(collection_.schema().metric) ? hit.score >= options_.score_threshold()
                                                       : hit.score <= options_.score_threshold();
  }

  absl::StatusOr<v1::Hit> Write(const funnel::Hit& hit) const {
    const store::Segment& segment = *collection_.view().parts[hit.at.part].segment;
    v1::Hit out;
    ToProto(segment.Id(hit.at.row), out.mutable_id());
    out.set_score(hit.score);
    if (options_.with_payload()) {
      MRL_ASSIGN_OR_RETURN(*out.mutable_payload_json(), segment.Payload(hit.at.row));
    }
    if (options_.with_vector()) {
      std::vector<float> vector(collection_.schema().dim);
      segment.Vector(hit.at.row, vector.data());
      ToProto(vector, out.mutable_vector());
    }
    return out;
  }

 private:
  const Collection& collection_;
  const v1::SearchOptions& options_;
};

// Tag and length that a repeated message adds to its own bytes, at most.
constexpr uint64_t kMessageOverhead = 8;
// Room that the stats and the fields around the hits may take.
constexpr uint64_t kStatsRoom = 16 << 10;

absl::Status ReplyTooLarge(size_t hits) {
  return absl::ResourceExhaustedError(
      absl::StrCat("the reply with ", hits, " hits is larger than ", Limits::kReplyBytes,
                   " bytes, the limit of Search; BatchSearch streams such results, or ask for a "
                   "smaller k or for "
                   "no vectors and payloads"));
}

struct Query {
  std::vector<float> vector;
  std::optional<funnel::Location> leave_out;
};

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
  collection.view().parts[at->part].segment->Vector(at->row, query.vector.data());
  if (!request.include_self()) query.leave_out = at;
  return query;
}

class BatchSource final : public ChunkSource<v1::BatchSearchResponse> {
 public:
  BatchSource(std::shared_ptr<const Collection> collection, funnel::Plan plan, size_t dims,
              const v1::BatchSearchRequest& request)
      : collection_(std::move(collection)),
        plan_(std::move(plan)),
        dims_(dims),
        request_(request),
        writer_(*collection_, request.options()) {}

  absl::StatusOr<bool> Next(Call& call, v1::BatchSearchResponse* chunk) override {
    uint64_t bytes = 0;
    while (row_ < request_.rows()) {
      if (!searched_) MRL_RETURN_IF_ERROR(SearchRow(call));
      MRL_ASSIGN_OR_RETURN(const bool whole, WriteRow(&bytes, chunk));
      if (!whole) return true;  // the chunk is full; this row goes on in the next
      ++row_;
      searched_ = false;
    }
    return chunk->results_size() > 0;
  }

 private:
  absl::Status SearchRow(Call& call) {
    MRL_RETURN_IF_ERROR(call.CheckStopped());
    const auto begin = std::chrono::steady_clock::now();
    funnel::RunOptions options;
    options.stopped = [&call] { return call.stopped(); };
    auto output = funnel::Run(collection_->view(), plan_,
                              Elements(request_.queries(), row_ * dims_, dims_), options);
    if (!output.ok()) {
      return WithField(Annotate(output.status(), absl::StrCat("row ", row_)), "queries");
    }
    output_ = *std::move(output);
    call.Report(output_.trace, plan_);
    next_hit_ = 0;
    searched_ = true;
    stats_.Clear();
    ToProto(output_.trace, plan_, *collection_, &stats_);
    stats_.set_queue_micros(call.queue_micros());
    stats_.set_total_micros(
        std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin)
            .count());
    return absl::OkStatus();
  }

  // Adds what is left of the row; false when the chunk filled up first. A chunk holds one hit at
  // least, so that every chunk makes progress.
  absl::StatusOr<bool> WriteRow(uint64_t* bytes, v1::BatchSearchResponse* chunk) {
    const uint64_t head = stats_.ByteSizeLong() + 4 * kMessageOverhead;
    if (*bytes > 0 && *bytes + head > Limits::kBatchChunkBytes) return false;
    *bytes += head;
    v1::BatchSearchResponse::Result* result = chunk->add_results();
    result->set_row(row_);
    for (; next_hit_ < output_.hits.size(); ++next_hit_) {
      if (!writer_.Wanted(output_.hits[next_hit_])) continue;
      MRL_ASSIGN_OR_RETURN(v1::Hit hit, writer_.Write(output_.hits[next_hit_]));
      const uint64_t hit_bytes = hit.ByteSizeLong() + kMessageOverhead;
      const bool first = chunk->results_size() == 1 && result->hits_size() == 0;
      if (!first && *bytes + hit_bytes > Limits::kBatchChunkBytes) return false;
      *bytes += hit_bytes;
      *result->add_hits() = std::move(hit);
    }
    *result->mutable_stats() = stats_;
    result->set_last(true);
    return true;
  }

  const std::shared_ptr<const Collection> collection_;
  const funnel::Plan plan_;
  const size_t dims_;
  const v1::BatchSearchRequest& request_;
  const HitWriter writer_;
  uint32_t row_ = 0;
  bool searched_ = false;  // output_ and stats_ are of row_
  size_t next_hit_ = 0;
  funnel::Output output_;
  v1::SearchStats stats_;
};

}  // namespace

absl::Status RunSearch(const Registry& registry, Call& call, const v1::SearchRequest& request,
                       absl::Span<const PointId> why_not_ids, std::vector<funnel::WhyNot>* why_not,
                       v1::SearchResponse* response) {
  MRL_ASSIGN_OR_RETURN(const auto collection, registry.Find(request.collection()));
  MRL_RETURN_IF_ERROR(
      CheckSequence(*collection, request.collection(), request.options().min_sequence()));
  MRL_ASSIGN_OR_RETURN(const Query query, ReadQuery(*collection, request));
  MRL_ASSIGN_OR_RETURN(
      const funnel::Plan plan,
      MakePlan(*collection, request.options(), static_cast<uint32_t>(query.vector.size())));
  funnel::RunOptions options;
  options.stopped = [&call] { return call.stopped(); };
  options.why_not = why_not_ids;
  options.leave_out = query.leave_out;
  auto output = funnel::Run(collection->view(), plan, query.vector, options);
  if (!output.ok()) return WithField(output.status(), "vector");
  call.Report(output->trace, plan);

  const HitWriter writer(*collection, request.options());
  uint64_t bytes = kStatsRoom;
  for (const funnel::Hit& found : output->hits) {
    if (!writer.Wanted(found)) continue;
    MRL_ASSIGN_OR_RETURN(v1::Hit hit, writer.Write(found));
    bytes += hit.ByteSizeLong() + kMessageOverhead;
    if (bytes > Limits::kReplyBytes) return ReplyTooLarge(output->hits.size());
    *response->add_hits() = std::move(hit);
  }
  v1::SearchStats* stats = response->mutable_stats();
  ToProto(output->trace, plan, *collection, stats);
  stats->set_queue_micros(call.queue_micros());
  stats->set_total_micros(call.elapsed_micros());
  if (why_not != nullptr) *why_not = std::move(output->trace.why_not);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ChunkSource<v1::BatchSearchResponse>>> OpenBatch(
    const Registry& registry, const v1::BatchSearchRequest& request) {
  MRL_ASSIGN_OR_RETURN(auto collection, registry.Find(request.collection()));
  MRL_RETURN_IF_ERROR(
      CheckSequence(*collection, request.collection(), request.options().min_sequence()));
  if (request.rows() == 0 || request.rows() > Limits::kBatchRows) {
    return InvalidField("rows", absl::StrCat("rows is ", request.rows(), "; 1 to ",
                                             Limits::kBatchRows, " are accepted"));
  }
  MRL_ASSIGN_OR_RETURN(const size_t elements, CountElements(request.queries(), "queries"));
  if (elements % request.rows() != 0) {
    return InvalidField("queries", absl::StrCat("queries has ", elements, " elements, which ",
                                                request.rows(), " rows do not divide"));
  }
  const size_t dims = elements / request.rows();
  MRL_RETURN_IF_ERROR(CheckQueryDims(request.collection(), collection->schema(), dims, "queries"));
  MRL_ASSIGN_OR_RETURN(funnel::Plan plan,
                       MakePlan(*collection, request.options(), static_cast<uint32_t>(dims)));
  if (const uint64_t hits = uint64_t{plan.k} * request.rows(); hits > Limits::kBatchHits) {
    return InvalidField("options.k",
                        absl::StrCat("k x rows is ", hits, "; the limit is ", Limits::kBatchHits));
  }
  return std::make_unique<BatchSource>(std::move(collection), std::move(plan), dims, request);
}

}  // namespace mrl::server
