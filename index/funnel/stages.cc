#include "index/funnel/stages.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/coarse/exact_scan.h"

namespace mrl::funnel {
namespace {

constexpr size_t kPrefetchCandidates = 10;  // measured best between 8 and 12
constexpr size_t kCandidatesBetweenPolls = 1024;
constexpr absl::string_view kCodeKind = "scan";  // the kind that stores codes

absl::Status Stopped() { return absl::CancelledError("the search was stopped"); }

size_t LevelOf(const Search& search, const Stage& stage) {
  return static_cast<size_t>(search.view.schema.LevelOf(stage.dims));
}

// How many rows to ask of a part so that `keep` are left without the row that may not be found.
size_t KeepWithLeftOut(const Search& search, uint32_t part, size_t keep) {
  const std::optional<Location>& left_out = search.options.leave_out;
  return left_out.has_value() && left_out->part == part ? keep + 1 : keep;
}

bool IsLeftOut(const Search& search, const Location& at) { return search.options.leave_out == at; }

// Keys of candidates from the stored precision, at `level`.
absl::Status RerankStored(const Search& search, size_t level, std::vector<Shortlisted>& candidates,
                          StageTrace* trace) {
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (i % kCandidatesBetweenPolls == 0 && search.stopped()) return Stopped();
    if (i + kPrefetchCandidates < candidates.size()) {
      const Shortlisted& later = candidates[i + kPrefetchCandidates];
      search.scorers[later.at.part].Prefetch(later.at.row, later.levels_done, level);
    }
    Shortlisted& now = candidates[i];
    const coarse::LevelScorer& scorer = search.scorers[now.at.part];
    trace->bytes += scorer.RowBytes(now.levels_done, level);
    now.sum = scorer.Extend(now.at.row, now.levels_done, level, now.sum);
    now.levels_done = static_cast<uint32_t>(level + 1);
    now.key = scorer.Key(now.at.row, level, now.sum);
  }
  return absl::OkStatus();
}

// Keys of candidates from their codes, part by part.
absl::Status RerankCodes(const Search& search, const Stage& stage,
                         std::vector<Shortlisted>& candidates, StageTrace* trace) {
  trace->bytes += static_cast<uint64_t>(stage.dims) * stage.bits / 8 * candidates.size();
  std::vector<uint32_t> rows;
  std::vector<float> scores;
  for (uint32_t part = 0; part < search.view.parts.size(); ++part) {
    if (search.stopped()) return Stopped();
    rows.clear();
    for (const Shortlisted& candidate : candidates) {
      if (candidate.at.part == part) rows.push_back(candidate.at.row);
    }
    if (rows.empty()) continue;
    MRL_ASSIGN_OR_RETURN(const coarse::CoarseIndex* index,
                         IndexOf(search.view.parts[part], kCodeKind));
    scores.resize(rows.size());
    MRL_RETURN_IF_ERROR(
        index->Estimate(search.query, {stage.dims, stage.bits}, rows, scores.data()));
    const float* score = scores.data();
    for (Shortlisted& candidate : candidates) {
      if (candidate.at.part != part) continue;
      candidate.key = coarse::ScoreOfKey(search.view.schema.metric, *score++);
    }
  }
  return absl::OkStatus();
}

}  // namespace

bool BeforeById(const View& view, const Shortlisted& a, const Shortlisted& b) {
  if (a.key != b.key) return a.key > b.key;
  if (a.at.part == b.at.part) {
    return view.parts[a.at.part].segment->IdLess(a.at.row, b.at.row);
  }
  return view.parts[a.at.part].segment->Id(a.at.row) < view.parts[b.at.part].segment->Id(b.at.row);
}

absl::StatusOr<const coarse::CoarseIndex*> IndexOf(const View::Part& part, absl::string_view kind) {
  for (const auto& index : part.indexes) {
    if (index->kind() == kind) return index.get();
  }
  return absl::FailedPreconditionError(absl::StrCat("segment ", part.segment->info().number,
                                                    " has no index of the kind `", kind, "`"));
}

namespace {

coarse::Request CoarseRequest(const Search& search, uint32_t part) {
  const Stage& stage = search.plan.stages.front();
  return {.query = search.query,
          .dims = stage.dims,
          .bits = stage.bits,
          .keep = static_cast<uint32_t>(KeepWithLeftOut(search, part, stage.keep)),
          .allowed = search.view.parts[part].allowed_data(),
          .params = &search.plan.params,
          .stopped = search.options.stopped};
}

void TakeResult(uint32_t part, const coarse::Result& result, Tiled& tiled) {
  const Metric metric = tiled.search->view.schema.metric;
  tiled.trace->candidates_in += result.rows_scanned;
  tiled.trace->bytes += result.bytes_touched;
  tiled.trace->rescored += result.rescored;
  tiled.candidates.reserve(tiled.candidates.size() + result.candidates.size());
  for (const coarse::Candidate& found : result.candidates) {
    const Location at = {part, found.row};
    if (IsLeftOut(*tiled.search, at)) continue;
    // Negating is its own inverse, so this turns scores to keys as well.
    tiled.candidates.push_back({.at = at, .key = coarse::ScoreOfKey(metric, found.score)});
  }
}

}  // namespace

void RunCoarse(const View& view, const Plan& plan, absl::Span<Tiled> tile) {
  for (uint32_t part = 0; part < view.parts.size(); ++part) {
    if (view.parts[part].rows() == 0) continue;  // nothing there that matches a filter
    const absl::StatusOr<const coarse::CoarseIndex*> index = IndexOf(view.parts[part], plan.kind);
    std::vector<Tiled*> running;
    std::vector<coarse::Request> requests;
    for (Tiled& tiled : tile) {
      if (tiled.status.ok()) tiled.status = index.status();
      if (!tiled.status.ok()) continue;
      running.push_back(&tiled);
      requests.push_back(CoarseRequest(*tiled.search, part));
    }
    if (requests.empty()) return;
    const std::vector<absl::StatusOr<coarse::Result>> results = (*index)->SearchTile(requests);
    for (size_t i = 0; i < results.size(); ++i) {
      if (results[i].ok()) {
        TakeResult(part, *results[i], *running[i]);
      } else {
        running[i]->status = results[i].status();
      }
    }
  }
}

void RunExact(const View& view, const Plan& plan, absl::Span<Tiled> tile) {
  const Stage& stage = plan.stages.front();
  const auto level = static_cast<size_t>(view.schema.LevelOf(stage.dims));
  for (uint32_t part = 0; part < view.parts.size(); ++part) {
    const View::Part& searched = view.parts[part];
    const uint64_t searched_rows = searched.rows();
    if (searched_rows == 0) continue;
    std::vector<Tiled*> running;
    std::vector<coarse::ExactRequest> requests;
    for (Tiled& tiled : tile) {
      if (!tiled.status.ok()) continue;
      running.push_back(&tiled);
      requests.push_back({.query = tiled.search->query,
                          .level = level,
                          .keep = KeepWithLeftOut(*tiled.search, part, stage.keep),
                          .allowed = searched.allowed_data(),
                          .stopped = &tiled.search->options.stopped});
    }
    if (requests.empty()) return;
    const auto results = coarse::ExactScanTile(*searched.segment, requests);
    for (size_t i = 0; i < results.size(); ++i) {
      Tiled& tiled = *running[i];
      tiled.status = results[i].status();
      if (!tiled.status.ok()) continue;
      tiled.trace->candidates_in += searched_rows;
      tiled.trace->bytes += searched_rows * tiled.search->scorers[part].RowBytes(0, level);
      for (const coarse::KeyedRow& row : *results[i]) {
        const Location at = {part, row.row};
        if (!IsLeftOut(*tiled.search, at)) tiled.candidates.push_back({.at = at, .key = row.key});
      }
    }
  }
}

absl::Status Rerank(const Search& search, const Stage& stage, std::vector<Shortlisted>& candidates,
                    StageTrace* trace) {
  trace->candidates_in = candidates.size();
  if (stage.bits != 0) return RerankCodes(search, stage, candidates, trace);
  return RerankStored(search, LevelOf(search, stage), candidates, trace);
}

absl::StatusOr<float> ScoreAt(const Search& search, const Stage& stage, Location at) {
  if (stage.bits == 0) {
    return coarse::ScoreOfKey(search.view.schema.metric,
                              search.scorers[at.part].Key(at.row, LevelOf(search, stage)));
  }
  MRL_ASSIGN_OR_RETURN(const coarse::CoarseIndex* index,
                       IndexOf(search.view.parts[at.part], kCodeKind));
  float score = 0;
  MRL_RETURN_IF_ERROR(
      index->Estimate(search.query, {stage.dims, stage.bits}, {&at.row, 1}, &score));
  return score;
}

}  // namespace mrl::funnel
