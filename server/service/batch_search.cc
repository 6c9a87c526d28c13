#include "server/service/batch_search.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "server/limits.h"
#include "server/service/asked.h"
#include "server/service/convert.h"
#include "server/service/points.h"

namespace mrl::server {
namespace {

using collection::Collection;

class BatchSource final : public ChunkSource<v1::BatchSearchResponse> {
 public:
  BatchSource(std::shared_ptr<const Collection> collection, std::optional<Narrowed> narrowed,
              funnel::ChosenPlan chosen, size_t dims, const v1::BatchSearchRequest& request)
      : collection_(std::move(collection)),
        narrowed_(std::move(narrowed)),
        chosen_(std::move(chosen)),
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
    const size_t rows = std::min<size_t>(request_.rows() - row_, funnel::TileMax(chosen_.plan));
    for (size_t row = row_; row < row_ + rows; ++row) {
      vectors_[row - row_] = Elements(request_.queries(), row * dims_, dims_);
      queries.push_back(
          {vectors_[row - row_],
           {.stopped = [&call] { return call.stopped(); }, .helpers = call.helpers()}});
    }
    tile_begin_ = row_;
    tile_ =
        funnel::RunTile(narrowed_ ? narrowed_->view : collection_->view(), chosen_.plan, queries);
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
    call.Report(output_.trace, chosen_.plan);
    next_hit_ = std::min<size_t>(request_.options().offset(), output_.hits.size());
    searched_ = true;
    stats_.Clear();
    ToProto(output_.trace, chosen_, *collection_, &stats_);
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
  const funnel::ChosenPlan chosen_;
  const size_t dims_;
  const v1::BatchSearchRequest& request_;
  const HitWriter writer_;
  std::vector<absl::StatusOr<funnel::Output>> tile_;  // of the rows from tile_begin_
  std::array<std::vector<float>, funnel::kExactTileMax> vectors_;
  uint32_t tile_begin_ = 0;
  double micros_ = 0;  // a row's share of the tile's time
  uint32_t row_ = 0;
  bool searched_ = false;  // output_ and stats_ are of row_
  size_t next_hit_ = 0;
  funnel::Output output_;
  v1::SearchStats stats_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ChunkSource<v1::BatchSearchResponse>>> OpenBatch(
    const Registry& registry, const v1::BatchSearchRequest& request) {
  MRL_RETURN_IF_ERROR(ExpectPlainOptions(request.options()));
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
  MRL_ASSIGN_OR_RETURN(funnel::ChosenPlan chosen,
                       MakePlan(*collection, request.options(), static_cast<uint32_t>(dims)));
  if (const uint64_t hits = uint64_t{chosen.plan.k} * request.rows(); hits > Limits::kBatchHits) {
    return InvalidField("options.k",
                        absl::StrCat("k x rows is ", hits, "; the limit is ", Limits::kBatchHits));
  }
  MRL_ASSIGN_OR_RETURN(auto narrowed, Narrow(*collection, request.options(), &chosen.plan));
  return std::make_unique<BatchSource>(std::move(collection), std::move(narrowed),
                                       std::move(chosen), dims, request);
}

}  // namespace mrl::server
