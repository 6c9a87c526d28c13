// The steps of a funnel over the candidates of all parts.
//
// A candidate carries the sum over the levels that were scored already, so that a stage at a longer
// prefix reads the new levels only.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/coarse/level_scorer.h"
#include "index/funnel/plan.h"
#include "index/funnel/run.h"

namespace mrl::funnel {

struct Shortlisted {
  Location at;
  float key = 0;  // of the last stage; larger is nearer
  float sum = 0;  // over levels [0, levels_done)
  uint32_t levels_done = 0;
};

// One search under way. Refers to what Run was given.
struct Search {
  const View& view;
  const Plan& plan;
  const float* query;  // transformed
  const RunOptions& options;
  std::vector<coarse::LevelScorer> scorers;  // one per part, up to the plan's last prefix
  bool stage_by_stage = false;               // no index runs stages after the first
  double slack_unit = 1;                     // of the plan's slacks

  bool stopped() const { return options.stopped && options.stopped(); }
};

// Keys fall, equal keys by part and row: the order in which every stage but the last cuts.
struct BeforeByRow {
  bool operator()(const Shortlisted& a, const Shortlisted& b) const {
    if (a.key != b.key) return a.key > b.key;
    return a.at.part != b.at.part ? a.at.part < b.at.part : a.at.row < b.at.row;
  }
};
// Keys fall, equal keys by id: the order of a result.
bool BeforeById(const View& view, const Shortlisted& a, const Shortlisted& b);

// The index of `part` that has `kind`; FAILED_PRECONDITION when there is none.
absl::StatusOr<const coarse::CoarseIndex*> IndexOf(const View::Part& part, absl::string_view kind);

// One search of a tile: its candidates, where it stands, and what went wrong with it.
struct Tiled {
  Search* search = nullptr;
  absl::Status status;
  std::vector<Shortlisted> candidates;
  StageTrace* trace = nullptr;  // of the first stage; those of the others lie behind it
  size_t stages_done = 1;       // candidates have the keys of the last of them, not cut yet
};
// The first stage of searches that share view and plan: each gets its candidates of every part, its
// trace filled. Where the index of a part runs further stages by itself, all parts are brought so
// far: then each part has kept its own best of the stages before the last that is done.
void RunCoarse(const View& view, const Plan& plan, absl::Span<Tiled> tile);
// As RunCoarse, but every row of every part at the full query, with all ties of the k-th.
void RunExact(const View& view, const Plan& plan, absl::Span<Tiled> tile);
// Gives every candidate its key at `stage`; fills `trace` but for what is kept.
absl::Status Rerank(const Search& search, const Stage& stage, std::vector<Shortlisted>& candidates,
                    StageTrace* trace);

// The score of one row at a stage's prefix, whether or not the stage has seen it.
absl::StatusOr<float> ScoreAt(const Search& search, const Stage& stage, Location at);

}  // namespace mrl::funnel
