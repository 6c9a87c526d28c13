#include "index/funnel/stages.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/coarse/exact_scan.h"
#include "index/funnel/cut.h"

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

// Begins to read what is cold of levels up to `level` of all candidates, part by part.
absl::Status Fetch(const Search& search, size_t level, const std::vector<Shortlisted>& candidates,
                   StageTrace* trace) {
  std::vector<uint32_t> rows;
  for (uint32_t part = 0; part < search.view.parts.size(); ++part) {
    const store::Segment& segment = *search.view.parts[part].segment;
    if (level < segment.hot_levels()) continue;
    rows.clear();
    size_t from = level;
    for (const Shortlisted& candidate : candidates) {
      if (candidate.at.part != part) continue;
      from = std::min<size_t>(from, candidate.levels_done);
      rows.push_back(candidate.at.row);
    }
    MRL_RETURN_IF_ERROR(segment.Fetch(from, level, rows));
    trace->cold_bytes += rows.size() * segment.ColdRowBytes(from, level);
  }
  return absl::OkStatus();
}

// Whether all that was read of them counts.
absl::Status CheckRead(const Search& search, size_t level) {
  for (const View::Part& part : search.view.parts) {
    MRL_RETURN_IF_ERROR(part.segment->CheckRead(level));
  }
  return absl::OkStatus();
}

// Keys of candidates from the stored precision, at `level`.
absl::Status RerankStored(const Search& search, size_t level, std::vector<Shortlisted>& candidates,
                          StageTrace* trace) {
  const auto prefetch = [&search, level](const Shortlisted& soon) {
    search.scorers[soon.at.part].Prefetch(soon.at.row, soon.levels_done, level);
  };
  MRL_RETURN_IF_ERROR(Fetch(search, level, candidates, trace));
  const size_t ahead = std::min(kPrefetchCandidates, candidates.size());
  for (size_t i = 0; i < ahead; ++i) prefetch(candidates[i]);
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (i % kCandidatesBetweenPolls == 0 && search.stopped()) return Stopped();
    if (i + ahead < candidates.size()) prefetch(candidates[i + ahead]);
    Shortlisted& now = candidates[i];
    const coarse::LevelScorer& scorer = search.scorers[now.at.part];
    trace->bytes += scorer.RowBytes(now.levels_done, level);
    now.sum = scorer.Extend(now.at.row, now.levels_done, level, now.sum);
    now.levels_done = static_cast<uint32_t>(level + 1);
    now.key = scorer.Key(now.at.row, level, now.sum);
  }
  return CheckRead(search, level);
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

// The stages after the first, as the index of `part` may run them. Who asks why a point is missing
// follows it through every stage, and gets them one by one.
std::vector<coarse::LaterStage> LaterStages(const Search& search, uint32_t part) {
  std::vector<coarse::LaterStage> later;
  if (!search.options.why_not.empty() || search.stage_by_stage) return later;
  for (size_t i = 1; i < search.plan.stages.size(); ++i) {
    const Stage& stage = search.plan.stages[i];
    later.push_back(
        {stage.dims, stage.bits, static_cast<uint32_t>(KeepWithLeftOut(search, part, stage.keep))});
  }
  return later;
}

coarse::Request CoarseRequest(const Search& search, uint32_t part,
                              absl::Span<const coarse::LaterStage> later) {
  const Stage& stage = search.plan.stages.front();
  return {.query = search.query,
          .dims = stage.dims,
          .bits = stage.bits,
          .keep = static_cast<uint32_t>(KeepWithLeftOut(search, part, stage.keep)),
          .k = static_cast<uint32_t>(KeepWithLeftOut(search, part, search.plan.k)),
          .allowed = search.view.parts[part].allowed_data(),
          .params = &search.plan.params,
          .stopped = search.options.stopped,
          .helpers = search.options.helpers,
          .later = later};
}

// What one part found for one search.
struct PartFound {
  std::vector<Shortlisted> candidates;
  size_t stages_done = 1;
};

// Notes a part's cut at a stage that the part has ended.
void NoteCut(Metric metric, uint64_t kept, float score_cut, StageTrace* trace) {
  const bool first = trace->candidates_out == 0;
  trace->candidates_out += kept;
  if (kept == 0) return;
  const bool worse =
      LargerIsNearer(metric) ? score_cut < trace->score_cut : score_cut > trace->score_cut;
  if (first || worse) trace->score_cut = score_cut;
}

PartFound TakeResult(uint32_t part, const coarse::Result& result, const Tiled& tiled) {
  const Metric metric = tiled.search->view.schema.metric;
  StageTrace* trace = tiled.trace;
  trace->candidates_in += result.rows_scanned;
  trace->bytes += result.bytes_touched;
  trace->cold_bytes += result.cold_bytes;
  trace->rescored += result.rescored;
  if (!result.later.empty()) NoteCut(metric, result.kept, result.score_cut, trace);
  for (const coarse::Result::Ran& ran : result.later) {
    ++trace;
    trace->candidates_in += ran.candidates_in;
    trace->bytes += ran.bytes;
    if (&ran != &result.later.back()) NoteCut(metric, ran.candidates_out, ran.score_cut, trace);
  }
  PartFound found = {.candidates = {}, .stages_done = 1 + result.later.size()};
  found.candidates.reserve(result.candidates.size());
  for (const coarse::Candidate& candidate : result.candidates) {
    const Location at = {part, candidate.row};
    if (IsLeftOut(*tiled.search, at)) continue;
    // Negating is its own inverse, so this turns scores to keys as well.
    found.candidates.push_back({.at = at, .key = coarse::ScoreOfKey(metric, candidate.score)});
  }
  return found;
}

// Runs the stages that other parts have run already on a part that has not.
absl::Status CatchUp(const Tiled& tiled, size_t stages_done, PartFound& found) {
  const Search& search = *tiled.search;
  const Metric metric = search.view.schema.metric;
  for (; found.stages_done < stages_done; ++found.stages_done) {
    const size_t before = found.stages_done - 1;
    const float cut = CutTo(found.candidates, search.plan.stages[before].keep, BeforeByRow());
    NoteCut(metric, found.candidates.size(), coarse::ScoreOfKey(metric, cut), tiled.trace + before);
    StageTrace ran;
    MRL_RETURN_IF_ERROR(Rerank(search, search.plan.stages[before + 1], found.candidates, &ran));
    tiled.trace[before + 1].candidates_in += ran.candidates_in;
    tiled.trace[before + 1].bytes += ran.bytes;
    tiled.trace[before + 1].cold_bytes += ran.cold_bytes;
  }
  return absl::OkStatus();
}

// Puts the parts of one search together.
void JoinParts(std::vector<PartFound>& parts, Tiled& tiled) {
  for (const PartFound& found : parts) {
    tiled.stages_done = std::max(tiled.stages_done, found.stages_done);
  }
  for (PartFound& found : parts) {
    tiled.status.Update(CatchUp(tiled, tiled.stages_done, found));
    if (!tiled.status.ok()) return;
    tiled.candidates.insert(tiled.candidates.end(), found.candidates.begin(),
                            found.candidates.end());
  }
}

}  // namespace

void RunCoarse(const View& view, const Plan& plan, absl::Span<Tiled> tile) {
  std::vector<std::vector<PartFound>> found(tile.size());
  for (uint32_t part = 0; part < view.parts.size(); ++part) {
    if (view.parts[part].rows() == 0) continue;  // nothing there that matches a filter
    const absl::StatusOr<const coarse::CoarseIndex*> index = IndexOf(view.parts[part], plan.kind);
    std::vector<size_t> running;
    std::vector<std::vector<coarse::LaterStage>> later;  // that the requests refer to
    std::vector<coarse::Request> requests;
    later.reserve(tile.size());
    for (size_t i = 0; i < tile.size(); ++i) {
      if (tile[i].status.ok()) tile[i].status = index.status();
      if (!tile[i].status.ok()) continue;
      running.push_back(i);
      later.push_back(LaterStages(*tile[i].search, part));
      requests.push_back(CoarseRequest(*tile[i].search, part, later.back()));
    }
    if (requests.empty()) return;
    const std::vector<absl::StatusOr<coarse::Result>> results = (*index)->SearchTile(requests);
    for (size_t i = 0; i < results.size(); ++i) {
      if (results[i].ok()) {
        found[running[i]].push_back(TakeResult(part, *results[i], tile[running[i]]));
      } else {
        tile[running[i]].status = results[i].status();
      }
    }
  }
  for (size_t i = 0; i < tile.size(); ++i) {
    if (tile[i].status.ok()) JoinParts(found[i], tile[i]);
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
    const auto results = coarse::ExactScanTile(*searched.segment, requests,
                                               running.front()->search->options.helpers);
    for (size_t i = 0; i < results.size(); ++i) {
      Tiled& tiled = *running[i];
      tiled.status = results[i].status();
      if (!tiled.status.ok()) continue;
      tiled.trace->candidates_in += searched_rows;
      tiled.trace->bytes += searched_rows * tiled.search->scorers[part].RowBytes(0, level);
      tiled.trace->cold_bytes += searched_rows * searched.segment->ColdRowBytes(0, level);
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
    const size_t level = LevelOf(search, stage);
    const store::Segment& segment = *search.view.parts[at.part].segment;
    MRL_RETURN_IF_ERROR(segment.Fetch(0, level, {&at.row, 1}));
    const float key = search.scorers[at.part].Key(at.row, level);
    MRL_RETURN_IF_ERROR(segment.CheckRead(level));
    return coarse::ScoreOfKey(search.view.schema.metric, key);
  }
  MRL_ASSIGN_OR_RETURN(const coarse::CoarseIndex* index,
                       IndexOf(search.view.parts[at.part], kCodeKind));
  float score = 0;
  MRL_RETURN_IF_ERROR(
      index->Estimate(search.query, {stage.dims, stage.bits}, {&at.row, 1}, &score));
  return score;
}

}  // namespace mrl::funnel
