#include "server/service/search.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/funnel/filtered.h"
#include "server/limits.h"
#include "server/service/convert.h"
#include "server/service/grouping.h"
#include "server/service/points.h"

namespace mrl::server {
namespace {

using collection::Collection;

// Hits become messages one by one, so that a reply that will not fit is noticed before it is built.
class HitWriter {
 public:
  HitWriter(const Collection& collection, const v1::SearchOptions& options)
      : collection_(collection), options_(options) {}

  // The hits behind the offset.
  absl::Span<const funnel::Hit> Page(const std::vector<funnel::Hit>& hits) const {
    return absl::MakeConstSpan(hits).subspan(std::min<size_t>(options_.offset(), hits.size()));
  }
  // Whether a hit is near enough for the caller's threshold.
  bool Wanted(const funnel::Hit& hit) const {
    if (!options_.has_score_threshold()) return true;
    return LargerIsNearer(collection_.schema().metric) ? hit.score >= options_.score_threshold()
                                                       : hit.score <= options_.score_threshold();
  }

  // Fills the empty `out`, where it is: a message that moves between arenas is copied.
  absl::Status Write(const funnel::Hit& hit, v1::Hit* out) const {
    const store::Segment& segment = *collection_.view().parts[hit.at.part].segment;
    ToProto(segment.Id(hit.at.row), out->mutable_id());
    out->set_score(hit.score);
    if (options_.with_payload()) {
      MRL_ASSIGN_OR_RETURN(*out->mutable_payload_json(), segment.Payload(hit.at.row));
    }
    if (options_.with_vector()) {
      std::vector<float> vector(collection_.schema().dim);
      segment.Vector(hit.at.row, vector.data());
      ToProto(vector, out->mutable_vector());
    }
    return absl::OkStatus();
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

// What a filter leaves of a collection.
struct Narrowed {
  funnel::View view;
  uint64_t rows = 0;
};

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

class BatchSource final : public ChunkSource<v1::BatchSearchResponse> {
 public:
  BatchSource(std::shared_ptr<const Collection> collection, std::optional<Narrowed> narrowed,
              funnel::Plan plan, size_t dims, const v1::BatchSearchRequest& request)
      : collection_(std::move(collection)),
        narrowed_(std::move(narrowed)),
        plan_(std::move(plan)),
        dims_(dims),
        request_(request),
        writer_(*collection_, request.options()) {}

  absl::StatusOr<bool> Next(Call& call, v1::BatchSearchResponse* chunk) override {
    uint64_t bytes = 0;
    while (row_ < request_.rows()) {
      if (!searched_) MRL_RETURN_IF_ERROR(TakeRow(call));
      MRL_ASSIGN_OR_RETURN(const bool whole, WriteRow(&bytes, chunk));
      if (!whole) return true;  // the chunk is full; this row goes on in the next
      ++row_;
      searched_ = false;
    }
    return chunk->results_size() > 0;
  }

 private:
  // Searches the next rows together.
  void SearchTile(Call& call) {
    const auto begin = std::chrono::steady_clock::now();
    std::vector<funnel::TileQuery> queries;
    const size_t rows = std::min<size_t>(request_.rows() - row_, funnel::kTileMax);
    for (size_t row = row_; row < row_ + rows; ++row) {
      vectors_[row - row_] = Elements(request_.queries(), row * dims_, dims_);
      queries.push_back({vectors_[row - row_], {.stopped = [&call] { return call.stopped(); }}});
    }
    tile_begin_ = row_;
    tile_ = funnel::RunTile(narrowed_ ? narrowed_->view : collection_->view(), plan_, queries);
    micros_ = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin)
                  .count() /
              static_cast<double>(rows);
  }

  absl::Status TakeRow(Call& call) {
    MRL_RETURN_IF_ERROR(call.CheckStopped());
    if (row_ == tile_begin_ + tile_.size()) SearchTile(call);
    auto& output = tile_[row_ - tile_begin_];
    if (!output.ok()) {
      return WithField(Annotate(output.status(), absl::StrCat("row ", row_)), "queries");
    }
    output_ = *std::move(output);
    call.Report(output_.trace, plan_);
    next_hit_ = std::min<size_t>(request_.options().offset(), output_.hits.size());
    searched_ = true;
    stats_.Clear();
    ToProto(output_.trace, plan_, *collection_, &stats_);
    stats_.set_queue_micros(call.queue_micros());
    stats_.set_total_micros(micros_);
    if (narrowed_) stats_.set_rows_matched(narrowed_->rows);
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
      v1::Hit hit;
      MRL_RETURN_IF_ERROR(writer_.Write(output_.hits[next_hit_], &hit));
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
  const std::optional<Narrowed> narrowed_;  // with a filter
  const funnel::Plan plan_;
  const size_t dims_;
  const v1::BatchSearchRequest& request_;
  const HitWriter writer_;
  std::vector<absl::StatusOr<funnel::Output>> tile_;  // of the rows from tile_begin_
  std::array<std::vector<float>, funnel::kTileMax> vectors_;
  uint32_t tile_begin_ = 0;
  double micros_ = 0;  // a row's share of the tile's time
  uint32_t row_ = 0;
  bool searched_ = false;  // output_ and stats_ are of row_
  size_t next_hit_ = 0;
  funnel::Output output_;
  v1::SearchStats stats_;
};

// A request that was found to be in order.
struct Asked {
  std::shared_ptr<const Collection> collection;
  Query query;
  funnel::Plan plan;
  std::optional<Narrowed> narrowed;  // with a filter

  const funnel::View& view() const { return narrowed ? narrowed->view : collection->view(); }
};

absl::StatusOr<Asked> Ask(const Registry& registry, const v1::SearchRequest& request) {
  Asked asked;
  if (request.options().group_by().empty() && request.options().group_size() > 0) {
    return InvalidField("options.group_size", "group_size was given without group_by");
  }
  MRL_ASSIGN_OR_RETURN(asked.collection, registry.Find(request.collection()));
  MRL_RETURN_IF_ERROR(
      CheckSequence(*asked.collection, request.collection(), request.options().min_sequence()));
  MRL_ASSIGN_OR_RETURN(asked.query, ReadQuery(*asked.collection, request));
  MRL_ASSIGN_OR_RETURN(asked.plan, MakePlan(*asked.collection, request.options(),
                                            static_cast<uint32_t>(asked.query.vector.size())));
  MRL_ASSIGN_OR_RETURN(asked.narrowed, Narrow(*asked.collection, request.options(), &asked.plan));
  return asked;
}

funnel::TileQuery ToTile(const Call& call, const Query& query) {
  return {query.vector,
          {.stopped = [&call] { return call.stopped(); }, .leave_out = query.leave_out}};
}

absl::Status Reply(Call& call, const v1::SearchRequest& request, const Asked& asked,
                   const absl::StatusOr<funnel::Output>& output, v1::SearchResponse* response) {
  if (!output.ok()) return WithField(output.status(), "vector");
  call.Report(output->trace, asked.plan);
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
  ToProto(output->trace, asked.plan, *asked.collection, stats);
  stats->set_queue_micros(call.queue_micros());
  stats->set_total_micros(call.elapsed_micros());
  if (asked.narrowed) stats->set_rows_matched(asked.narrowed->rows);
  return absl::OkStatus();
}

absl::Status NoGroups(const v1::SearchOptions& options) {
  if (options.group_by().empty() && options.group_size() == 0) return absl::OkStatus();
  return InvalidField("options.group_by", "groups are for Search only, with group_by");
}

// Searches for more and more points until the groups are full.
absl::Status SearchGroups(const Registry& registry, JoinedSearch& call) {
  v1::SearchRequest request = call.request;
  MRL_ASSIGN_OR_RETURN(const auto collection, registry.Find(request.collection()));
  MRL_ASSIGN_OR_RETURN(Grouping grouping, Grouping::Make(request.options(), collection->schema()));
  while (true) {
    request.mutable_options()->set_k(grouping.fetch());
    MRL_ASSIGN_OR_RETURN(const Asked asked, Ask(registry, request));
    const funnel::TileQuery query = ToTile(call.call, asked.query);
    auto output = funnel::Run(asked.view(), asked.plan, query.query, query.options);
    MRL_RETURN_IF_ERROR(WithField(output.status(), "vector"));
    const size_t found = output->hits.size();
    MRL_RETURN_IF_ERROR(grouping.Take(asked.view(), &output->hits));
    if (!grouping.full() && found == grouping.fetch() && grouping.Widen()) continue;
    MRL_RETURN_IF_ERROR(Reply(call.call, request, asked, output, call.response));
    grouping.Label(asked.view(), call.response);
    return absl::OkStatus();
  }
}

absl::Status RunAlone(const Registry& registry, JoinedSearch& one) {
  if (!one.request.options().group_by().empty()) return SearchGroups(registry, one);
  MRL_ASSIGN_OR_RETURN(const Asked asked, Ask(registry, one.request));
  const funnel::TileQuery query = ToTile(one.call, asked.query);
  const auto output = funnel::Run(asked.view(), asked.plan, query.query, query.options);
  return Reply(one.call, one.request, asked, output, one.response);
}

}  // namespace

absl::Status RunExplain(const Registry& registry, Call& call, const v1::SearchRequest& request,
                        absl::Span<const PointId> why_not_ids, std::vector<funnel::WhyNot>* why_not,
                        v1::SearchResponse* response) {
  MRL_RETURN_IF_ERROR(NoGroups(request.options()));
  MRL_ASSIGN_OR_RETURN(const Asked asked, Ask(registry, request));
  funnel::TileQuery query = ToTile(call, asked.query);
  query.options.why_not = why_not_ids;
  auto output = funnel::Run(asked.view(), asked.plan, query.query, query.options);
  MRL_RETURN_IF_ERROR(Reply(call, request, asked, output, response));
  *why_not = std::move(output->trace.why_not);
  return absl::OkStatus();
}

void RunSearches(const Registry& registry, absl::Span<JoinedSearch> calls) {
  if (calls.size() == 1) {
    calls[0].status = RunAlone(registry, calls[0]);
    return;
  }
  std::vector<absl::StatusOr<Asked>> asked;
  std::vector<bool> done(calls.size());
  for (size_t i = 0; i < calls.size(); ++i) {
    if (!calls[i].request.options().group_by().empty()) {
      calls[i].status = SearchGroups(registry, calls[i]);
      asked.emplace_back(absl::CancelledError("it ran by itself"));
      done[i] = true;
      continue;
    }
    asked.push_back(Ask(registry, calls[i].request));
    calls[i].status = asked[i].status();
    done[i] = !asked[i].ok();
  }
  for (size_t first = 0; first < calls.size(); ++first) {
    if (done[first]) continue;
    const std::shared_ptr<const Collection>& collection = asked[first]->collection;
    std::vector<size_t> tile;
    std::vector<funnel::TileQuery> queries;
    for (size_t i = first; i < calls.size() && tile.size() < funnel::kTileMax; ++i) {
      if (done[i] || asked[i]->collection != collection) continue;
      if (asked[i]->plan != asked[first]->plan) continue;
      // What a filter leaves is its search's own.
      if (i != first && (asked[i]->narrowed || asked[first]->narrowed)) continue;
      tile.push_back(i);
      queries.push_back(ToTile(calls[i].call, asked[i]->query));
      done[i] = true;
    }
    const auto outputs = funnel::RunTile(asked[first]->view(), asked[first]->plan, queries);
    for (size_t i = 0; i < tile.size(); ++i) {
      JoinedSearch& one = calls[tile[i]];
      one.status = Reply(one.call, one.request, *asked[tile[i]], outputs[i], one.response);
    }
  }
}

absl::StatusOr<std::unique_ptr<ChunkSource<v1::BatchSearchResponse>>> OpenBatch(
    const Registry& registry, const v1::BatchSearchRequest& request) {
  MRL_RETURN_IF_ERROR(NoGroups(request.options()));
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
  MRL_ASSIGN_OR_RETURN(auto narrowed, Narrow(*collection, request.options(), &plan));
  return std::make_unique<BatchSource>(std::move(collection), std::move(narrowed), std::move(plan),
                                       dims, request);
}

}  // namespace mrl::server
