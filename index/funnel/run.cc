#include "index/funnel/run.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/coarse/exact_scan.h"
#include "index/funnel/stages.h"
#include "index/funnel/why_not.h"
#include "index/transform/transform.h"

namespace mrl::funnel {
namespace {

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
  transform::Apply(view.schema.transform, query.data(), query.size(), out.data());
  double squares = 0;
  for (const float value : out) squares += static_cast<double>(value) * value;
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

// Runs stage `number` of the plan: replaces `candidates` by what the stage keeps.
absl::Status RunStage(const Search& search, size_t number, std::vector<Shortlisted>& candidates,
                      StageTrace* trace) {
  const Plan& plan = search.plan;
  const Stage& stage = plan.stages[number];
  const bool is_last = number + 1 == plan.stages.size();
  if (plan.exact) {
    MRL_ASSIGN_OR_RETURN(candidates, RunExact(search, trace));
  } else if (number == 0) {
    MRL_ASSIGN_OR_RETURN(candidates, RunCoarse(search, trace));
  } else {
    MRL_RETURN_IF_ERROR(Rerank(search, stage, candidates, trace));
  }
  const auto by_id = [&search](const Shortlisted& a, const Shortlisted& b) {
    return BeforeById(search.view, a, b);
  };
  trace->score_cut = CutTo(candidates, stage.keep, is_last ? Before(by_id) : Before(BeforeByRow));
  if (is_last && number == 0 && !plan.exact && stage.bits == 0 && plan.kind != "scan") {
    // Another library's scores are its own: what leaves a search comes from the stored precision.
    StageTrace ignored;
    MRL_RETURN_IF_ERROR(Rerank(search, stage, candidates, &ignored));
    trace->rescored += candidates.size();
    trace->bytes += ignored.bytes;
    trace->score_cut = CutTo(candidates, stage.keep, by_id);
  }
  trace->score_cut = coarse::ScoreOfKey(search.view.schema.metric, trace->score_cut);
  trace->candidates_out = candidates.size();
  // Between stages nobody asks for an order but the one who follows ranks.
  if (is_last) std::sort(candidates.begin(), candidates.end(), by_id);
  if (!is_last && !search.options.why_not.empty()) {
    std::sort(candidates.begin(), candidates.end(), BeforeByRow);
  }
  return absl::OkStatus();
}

std::string StageKind(const Plan& plan, size_t number) {
  if (plan.exact) return "exact";
  return number == 0 ? plan.kind : "rerank";
}

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
absl::StatusOr<Output> Run(const View& view, const Plan& plan, absl::Span<const float> query,
                           const RunOptions& options) {
  MRL_RETURN_IF_ERROR(CheckQuery(view, plan, query));
  MRL_ASSIGN_OR_RETURN(const std::vector<float> prepared, Prepare(view, query));
  const auto last_level = static_cast<size_t>(view.schema.LevelOf(plan.stages.back().dims));
  Search search = {view, plan, prepared.data(), options, {}};
  for (const View::Part& part : view.parts) {
    search.scorers.emplace_back(*part.segment, prepared.data(), last_level);
  }
  WhyNotFollower follower(view, options.why_not);
  Output output;
  std::vector<Shortlisted> candidates;
  for (size_t number = 0; number < plan.stages.size(); ++number) {
    if (search.stopped()) return absl::CancelledError("the search was stopped");
    const Stage& stage = plan.stages[number];
    StageTrace& trace = output.trace.stages.emplace_back();
    trace.kind = StageKind(plan, number);
    trace.dims = stage.dims;
    trace.bits = stage.bits;
    const Clock::time_point start = Clock::now();
    MRL_RETURN_IF_ERROR(RunStage(search, number, candidates, &trace));
    trace.micros = MicrosSince(start);
    output.trace.multiply_adds += trace.candidates_in * trace.dims;
    MRL_RETURN_IF_ERROR(follower.Note(search, number, candidates));
  }
  output.trace.why_not = follower.Take();
  for (const Shortlisted& found : candidates) {
    output.hits.push_back({found.at, coarse::ScoreOfKey(view.schema.metric, found.key)});
  }
  return output;
}

}  // namespace mrl::funnel
