#include "index/funnel/run.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "index/coarse/exact_scan.h"
#include "index/funnel/cut.h"
#include "index/funnel/stages.h"
#include "index/funnel/stepped.h"
#include "index/funnel/why_not.h"
#include "index/kernels/kernels.h"
#include "index/kernels/squares.h"
#include "index/transform/transform.h"

namespace mrl::funnel {
namespace {

static_assert(kTileMax == kernels::kTileMax && kExactTileMax == coarse::kExactTileMax);

using Clock = std::chrono::steady_clock;

double MicrosSince(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

absl::Status CheckQuery(const View& view, const Plan& plan, absl::Span<const float> query) {
  if (plan.stages.empty()) return absl::InvalidArgumentError("the plan has no stages");
  const uint32_t dims = plan.stages.back().dims;
  if (query.size() < dims || query.size() > view.schema.dim) {
    return absl::InvalidArgumentError(absl::StrCat("the query has ", query.size(),
                                                   " dims, this search takes ", dims, " to ",
                                                   view.schema.dim));
  }
  if (std::isfinite(kernels::SumOfSquares(query.data(), query.size()))) return absl::OkStatus();
  for (size_t i = 0; i < query.size(); ++i) {
    if (!std::isfinite(query[i])) {
      return absl::InvalidArgumentError(
          absl::StrCat("the query's value at dimension ", i, " is ", query[i], ", not a number"));
    }
  }
  return absl::OkStatus();
}

// The transformed query, its norm checked.
absl::StatusOr<std::vector<float>> Prepare(const View& view, absl::Span<const float> query) {
  std::vector<float> out(query.size());
  transform::Apply(view.schema, query.data(), query.size(), out.data());
  const double squares = kernels::SumOfSquares(out.data(), out.size());
  if (squares > std::numeric_limits<float>::max()) {
    return absl::InvalidArgumentError(absl::StrCat("the query's squared norm is ", squares,
                                                   ", the limit is ",
                                                   std::numeric_limits<float>::max()));
  }
  if (squares == 0 && view.schema.metric == Metric::kCosine) {
    return absl::InvalidArgumentError("the query is a zero vector, which has no cosine");
  }
  return out;
}

// Adaptive keep, behind the cut of stage `number`: an easy query takes few candidates on, a hard
// one all that the stage keeps.
void LeaveOut(const Search& search, size_t number, std::vector<Shortlisted>& candidates,
              StageTrace* trace) {
  const Plan& plan = search.plan;
  if (number >= plan.slacks.size() || !std::isfinite(plan.slacks[number])) return;
  trace->left_out = LeaveOutBehind(candidates, plan.k, plan.slacks[number] * search.slack_unit);
  if (trace->left_out == 0) return;
  trace->score_cut =
      std::min_element(candidates.begin(), candidates.end(),
                       [](const Shortlisted& a, const Shortlisted& b) { return a.key < b.key; })
          ->key;
}

// Cuts what stage `number` has scored to what it keeps, and completes its trace. `by_index`: the
// coarse index has scored it.
absl::Status Keep(const Search& search, size_t number, bool by_index,
                  std::vector<Shortlisted>& candidates, StageTrace* trace) {
  const Plan& plan = search.plan;
  const Stage& stage = plan.stages[number];
  const bool is_last = number + 1 == plan.stages.size();
  const auto by_id = [&search](const Shortlisted& a, const Shortlisted& b) {
    return BeforeById(search.view, a, b);
  };
  trace->score_cut =
      is_last ? CutTo(candidates, stage.keep, by_id) : CutTo(candidates, stage.keep, BeforeByRow());
  if (is_last && by_index && !plan.exact && stage.bits == 0 && plan.kind != "scan") {
    // The scores of another library, or of a device, are its own: what leaves a search comes from
    // the stored precision and from these kernels.
    StageTrace ignored;
    MRL_RETURN_IF_ERROR(Rerank(search, stage, candidates, &ignored));
    trace->rescored += candidates.size();
    trace->bytes += ignored.bytes;
    trace->cold_bytes += ignored.cold_bytes;
    trace->score_cut = CutTo(candidates, stage.keep, by_id);
  }
  if (!is_last) LeaveOut(search, number, candidates, trace);
  trace->score_cut = coarse::ScoreOfKey(search.view.schema.metric, trace->score_cut);
  trace->candidates_out = candidates.size();
  // Between stages nobody asks for an order but the one who follows ranks.
  if (is_last) std::sort(candidates.begin(), candidates.end(), by_id);
  if (!is_last && !search.options.why_not.empty()) {
    std::sort(candidates.begin(), candidates.end(), BeforeByRow());
  }
  return absl::OkStatus();
}

std::string StageKind(const Plan& plan, size_t number) {
  if (plan.exact) return "exact";
  return number == 0 ? plan.kind : "rerank";
}

// One query of a tile from its check to its hits. Does not move: `search` refers to its fields.
class TileRun {
 public:
  TileRun(const View& view, const Plan& plan, const TileQuery& query)
      : view_(view), plan_(plan), query_(query), follower_(view, query.options.why_not) {}
  TileRun(const TileRun&) = delete;
  TileRun& operator=(const TileRun&) = delete;

  absl::Status Prepare() {
    MRL_RETURN_IF_ERROR(CheckQuery(view_, plan_, query_.query));
    MRL_ASSIGN_OR_RETURN(prepared_, funnel::Prepare(view_, query_.query));
    const auto last_level = static_cast<size_t>(view_.schema.LevelOf(plan_.stages.back().dims));
    output_.trace.stages.resize(plan_.stages.size());
    for (size_t number = 0; number < plan_.stages.size(); ++number) {
      StageTrace& trace = output_.trace.stages[number];
      trace.kind = StageKind(plan_, number);
      trace.dims = plan_.stages[number].dims;
      trace.bits = plan_.stages[number].bits;
    }
    search_ = std::make_unique<Search>(Search{view_, plan_, prepared_.data(), query_.options, {}});
    if (!plan_.slacks.empty()) search_->slack_unit = SlackUnit(view_.schema.metric, prepared_);
    for (const View::Part& part : view_.parts) {
      search_->scorers.emplace_back(*part.segment, prepared_.data(), last_level);
    }
    return CheckStopped();
  }

  // Null search and trace where Prepare failed.
  Tiled FirstStage() { return {search_.get(), absl::OkStatus(), {}, output_.trace.stages.data()}; }

  // The stages after those that are done, whose candidates came in `micros`.
  absl::StatusOr<Output> Finish(Tiled first, double micros, size_t tile_queries) {
    output_.trace.tile_queries = static_cast<uint32_t>(tile_queries);
    std::vector<Shortlisted> candidates = std::move(first.candidates);
    output_.trace.stages.front().micros = micros;
    for (size_t number = 0; number + 1 < first.stages_done; ++number) {
      const StageTrace& done = output_.trace.stages[number];
      output_.trace.multiply_adds += done.candidates_in * done.dims;
    }
    MRL_RETURN_IF_ERROR(End(first.stages_done - 1, true, candidates, Clock::now()));
    for (size_t number = first.stages_done; number < plan_.stages.size(); ++number) {
      MRL_RETURN_IF_ERROR(CheckStopped());
      const Clock::time_point start = Clock::now();
      StageTrace* trace = &output_.trace.stages[number];
      MRL_RETURN_IF_ERROR(Rerank(*search_, plan_.stages[number], candidates, trace));
      MRL_RETURN_IF_ERROR(End(number, false, candidates, start));
    }
    output_.trace.why_not = follower_.Take();
    output_.hits = HitsOf(candidates);
    return std::move(output_);
  }

  // Leaves every stage after the first to Finish, whatever the index could do.
  void StageByStage() { search_->stage_by_stage = true; }

  // As Finish for a search alone, which `stepped` may end after any stage.
  absl::StatusOr<SteppedOutput> FinishStepped(std::vector<Shortlisted> candidates, double micros,
                                              const SteppedOptions& stepped) {
    for (size_t number = 0;; ++number) {
      const Clock::time_point start = Clock::now();
      std::vector<Hit> best;
      const absl::Status ran = Step(number, candidates, start, number == 0 ? micros : 0);
      if (ran.ok()) best = HitsOf(Best(candidates, std::max<size_t>(plan_.k, stepped.watched)));
      const bool is_cut = absl::IsCancelled(ran) && stepped.anytime && number > 0;
      if (!ran.ok() && !is_cut) return ran;
      if (is_cut) return EndStepped(number - skipped_, /*cut=*/true);
      const bool is_last = number + 1 == plan_.stages.size();
      const Next next =
          stepped.after ? stepped.after(number, output_.trace.stages[number], best) : Next::kGoOn;
      best.resize(std::min<size_t>(plan_.k, best.size()));
      output_.hits = std::move(best);
      if (is_last || next == Next::kEnd) return EndStepped(number + 1, /*cut=*/false);
      if (next != Next::kLast) continue;
      candidates = Best(std::move(candidates), plan_.k);
      skipped_ = plan_.stages.size() - 2 - number;
      number += skipped_;
    }
  }

 private:
  std::vector<Hit> HitsOf(const std::vector<Shortlisted>& candidates) const {
    std::vector<Hit> hits;
    hits.reserve(candidates.size());
    for (const Shortlisted& found : candidates) {
      hits.push_back({found.at, coarse::ScoreOfKey(view_.schema.metric, found.key)});
    }
    return hits;
  }

  // The best of what a stage kept, equal keys by id.
  std::vector<Shortlisted> Best(std::vector<Shortlisted> candidates, size_t most) const {
    const size_t count = std::min(most, candidates.size());
    std::partial_sort(
        candidates.begin(), candidates.begin() + static_cast<ptrdiff_t>(count), candidates.end(),
        [this](const Shortlisted& a, const Shortlisted& b) { return BeforeById(view_, a, b); });
    candidates.resize(count);
    return candidates;
  }

  // One stage; of the first only its end, as the coarse search has run.
  absl::Status Step(size_t number, std::vector<Shortlisted>& candidates, Clock::time_point start,
                    double micros_before) {
    if (number > 0) {
      MRL_RETURN_IF_ERROR(CheckStopped());
      MRL_RETURN_IF_ERROR(
          Rerank(*search_, plan_.stages[number], candidates, &output_.trace.stages[number]));
    }
    output_.trace.stages[number].micros += micros_before;
    return End(number, /*by_index=*/number == 0, candidates, start);
  }

  SteppedOutput EndStepped(size_t stages, bool cut) {
    std::vector<StageTrace>& ran = output_.trace.stages;
    ran.resize(stages);
    // Those that kLast passed over stand right before the last.
    if (skipped_ > 0 && stages == plan_.stages.size()) {
      ran.erase(ran.end() - 1 - static_cast<ptrdiff_t>(skipped_), ran.end() - 1);
    }
    output_.trace.why_not = follower_.Take();
    return {std::move(output_), cut};
  }

  absl::Status CheckStopped() const {
    return search_->stopped() ? absl::CancelledError("the search was stopped") : absl::OkStatus();
  }
  absl::Status End(size_t number, bool by_index, std::vector<Shortlisted>& candidates,
                   Clock::time_point start) {
    StageTrace& trace = output_.trace.stages[number];
    MRL_RETURN_IF_ERROR(Keep(*search_, number, by_index, candidates, &trace));
    trace.micros += MicrosSince(start);
    output_.trace.multiply_adds += trace.candidates_in * trace.dims;
    return follower_.Note(*search_, number, candidates);
  }

  const View& view_;
  const Plan& plan_;
  const TileQuery& query_;
  WhyNotFollower follower_;
  std::vector<float> prepared_;
  std::unique_ptr<Search> search_;
  Output output_;
  size_t skipped_ = 0;  // stages that kLast passed over
};

}  // namespace

uint64_t View::Part::rows() const { return coarse::CountAllowed(allowed_data(), segment->rows()); }

uint64_t View::rows() const {
  uint64_t rows = 0;
  for (const Part& part : parts) rows += part.rows();
  return rows;
}

std::optional<Location> Find(const View& view, const PointId& id) {
  for (uint32_t part = 0; part < view.parts.size(); ++part) {
    const std::optional<uint32_t> row = view.parts[part].segment->Find(id);
    if (row.has_value() && coarse::IsAllowed(view.parts[part].allowed_data(), *row)) {
      return Location{part, *row};
    }
  }
  return std::nullopt;
}

// Funnel retrieval of "Matryoshka Representation Learning" (NeurIPS 2022), section 4.3.1: a
// shortlist at a short prefix, re-ranked and shortened at prefixes that grow. With one re-rank
// stage it is the paper's adaptive retrieval (D_s = 16, D_r = 2048, K = 200).
std::vector<absl::StatusOr<Output>> RunTile(const View& view, const Plan& plan,
                                            absl::Span<const TileQuery> queries) {
  CHECK(!queries.empty() && queries.size() <= TileMax(plan));
  const Clock::time_point begin = Clock::now();
  std::vector<std::unique_ptr<TileRun>> runs;
  std::vector<Tiled> tile;
  for (const TileQuery& query : queries) {
    TileRun& run = *runs.emplace_back(std::make_unique<TileRun>(view, plan, query));
    const absl::Status prepared = run.Prepare();
    tile.push_back(run.FirstStage());
    tile.back().status = prepared;
  }
  const Clock::time_point start = Clock::now();
  const auto share_since = [&queries](Clock::time_point since) {
    return MicrosSince(since) / static_cast<double>(queries.size());
  };
  if (plan.exact) {
    RunExact(view, plan, absl::MakeSpan(tile));
  } else {
    RunCoarse(view, plan, absl::MakeSpan(tile));
  }
  const double stage_micros = share_since(start);
  std::vector<absl::StatusOr<Output>> outputs;
  for (size_t i = 0; i < queries.size(); ++i) {
    if (tile[i].status.ok()) {
      outputs.push_back(runs[i]->Finish(std::move(tile[i]), stage_micros, queries.size()));
    } else {
      outputs.emplace_back(tile[i].status);
    }
  }
  const double micros = share_since(begin);
  for (absl::StatusOr<Output>& output : outputs) {
    if (output.ok()) output->trace.micros = micros;
  }
  return outputs;
}

absl::StatusOr<Output> Run(const View& view, const Plan& plan, absl::Span<const float> query,
                           const RunOptions& options) {
  const TileQuery tile = {query, options};
  return std::move(RunTile(view, plan, {&tile, 1}).front());
}

absl::StatusOr<SteppedOutput> RunStepped(const View& view, const Plan& plan,
                                         absl::Span<const float> query, const RunOptions& options,
                                         const SteppedOptions& stepped) {
  const Clock::time_point begin = Clock::now();
  const TileQuery alone = {query, options};
  TileRun run(view, plan, alone);
  MRL_RETURN_IF_ERROR(run.Prepare());
  run.StageByStage();
  Tiled tiled = run.FirstStage();
  const Clock::time_point start = Clock::now();
  if (plan.exact) {
    RunExact(view, plan, {&tiled, 1});
  } else {
    RunCoarse(view, plan, {&tiled, 1});
  }
  MRL_RETURN_IF_ERROR(tiled.status);
  auto output = run.FinishStepped(std::move(tiled.candidates), MicrosSince(start), stepped);
  if (output.ok()) output->output.trace.micros = MicrosSince(begin);
  return output;
}

}  // namespace mrl::funnel
