#include "index/tune/adaptive_keep.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "base/for_each.h"
#include "base/status.h"
#include "index/funnel/cut.h"
#include "index/funnel/stepped.h"
#include "index/tune/interval.h"

namespace mrl::tune {
namespace {

constexpr float kAllGoOn = std::numeric_limits<float>::infinity();

using OfQuery = std::vector<std::vector<float>>;  // per stage and hit

// Rounded up, so that who is exactly so far behind is within it.
float DeficitOf(double behind, double unit) {
  if (behind <= 0) return 0;
  return std::nextafter(static_cast<float>(behind / unit), kAllGoOn);
}

// Of the hits that `column` numbers, which the stage has kept; `kept` best first.
std::vector<float> DeficitsAt(const std::vector<funnel::Hit>& kept, size_t k, double unit,
                              bool larger_is_nearer,
                              const absl::flat_hash_map<uint64_t, size_t>& column) {
  std::vector<float> deficits(column.size());
  const double of_k = kept[std::min(k, kept.size()) - 1].score;
  for (const funnel::Hit& hit : kept) {
    const auto found = column.find(RowOf(hit.at));
    if (found == column.end()) continue;
    const double behind = larger_is_nearer ? of_k - hit.score : hit.score - of_k;
    deficits[found->second] = DeficitOf(behind, unit);
  }
  return deficits;
}

// Empty where the query has no result.
absl::StatusOr<OfQuery> MeasureOne(const funnel::View& view, const funnel::Plan& plan,
                                   absl::Span<const float> query, double unit,
                                   const funnel::RunOptions& options) {
  std::vector<std::vector<funnel::Hit>> kept;
  funnel::SteppedOptions stepped;
  stepped.watched = plan.stages.front().keep;  // keeps do not grow
  stepped.after = [&](size_t stage, const funnel::StageTrace&, absl::Span<const funnel::Hit> best) {
    if (stage + 1 < plan.stages.size()) kept.emplace_back(best.begin(), best.end());
    return funnel::Next::kGoOn;
  };
  MRL_ASSIGN_OR_RETURN(const funnel::SteppedOutput output,
                       funnel::RunStepped(view, plan, query, options, stepped));
  const std::vector<funnel::Hit>& hits = output.output.hits;
  if (hits.empty()) return OfQuery();
  const size_t step = (hits.size() + Deficits::kHitsMax - 1) / Deficits::kHitsMax;
  absl::flat_hash_map<uint64_t, size_t> column;
  for (size_t i = 0; i < hits.size(); i += step) column.emplace(RowOf(hits[i].at), column.size());
  OfQuery deficits;
  for (const std::vector<funnel::Hit>& of_stage : kept) {
    deficits.push_back(
        DeficitsAt(of_stage, plan.k, unit, LargerIsNearer(view.schema.metric), column));
  }
  return deficits;
}

// A hit of one of the queries that choose.
struct Chooser {
  float deficit = 0;
  size_t query = 0;
  double share = 0;  // of its query's hits
};

// Those of the even queries at `stage`, the nearest first.
std::vector<Chooser> Choosers(const Deficits& deficits, size_t stage) {
  std::vector<Chooser> choosers;
  for (size_t query = 0; query < deficits.queries.size(); query += 2) {
    const std::vector<float>& hits = deficits.queries[query][stage];
    for (const float deficit : hits) {
      choosers.push_back({deficit, query, 1.0 / static_cast<double>(hits.size())});
    }
  }
  std::sort(choosers.begin(), choosers.end(),
            [](const Chooser& a, const Chooser& b) { return a.deficit < b.deficit; });
  return choosers;
}

// The least slack within which the choosers' mean share is at least `least`. That of the last
// chooser keeps all of them.
float LearnSlack(const Deficits& deficits, size_t stage, double least) {
  const size_t count = (deficits.queries.size() + 1) / 2;
  if (count < KeepRule::kQueriesMin) return kAllGoOn;
  const std::vector<Chooser> choosers = Choosers(deficits, stage);
  std::vector<double> shares(deficits.queries.size());
  double sum = 0;
  double squares = 0;
  for (size_t i = 0; i + 1 < choosers.size(); ++i) {
    double& share = shares[choosers[i].query];
    squares -= share * share;
    share += choosers[i].share;
    squares += share * share;
    sum += choosers[i].share;
    const bool ends = choosers[i].deficit < choosers[i + 1].deficit;
    if (ends && LowerMean(sum, squares, count) >= least) return choosers[i].deficit;
  }
  return choosers.back().deficit;
}

// Share of a query's hits that are within the slack at every stage.
double KeptOf(const OfQuery& deficits, const std::vector<float>& slacks) {
  const size_t hits = deficits.front().size();
  size_t kept = 0;
  for (size_t hit = 0; hit < hits; ++hit) {
    bool stays = true;
    for (size_t stage = 0; stage < slacks.size(); ++stage) {
      stays = stays && deficits[stage][hit] <= slacks[stage];
    }
    kept += stays ? 1 : 0;
  }
  return static_cast<double>(kept) / static_cast<double>(hits);
}

}  // namespace

absl::StatusOr<Deficits> MeasureDeficits(const funnel::View& view, const funnel::Plan& plan,
                                         const ViewQueries& queries, size_t threads,
                                         const StoppedFn& stopped) {
  funnel::Plan whole = plan;
  whole.slacks.clear();
  ViewQueries transformed = queries;
  TransformQueries(view.schema, &transformed);
  std::vector<OfQuery> measured(queries.rows());
  MRL_RETURN_IF_ERROR(ForEach(queries.rows(), threads, [&](size_t i) -> absl::Status {
    funnel::RunOptions options;
    options.stopped = stopped;
    if (!queries.own.empty()) options.leave_out = queries.own[i];
    const double unit = funnel::SlackUnit(view.schema.metric, transformed.row(i));
    // To a query without a length everything is equally near.
    if (unit == 0) return absl::OkStatus();
    MRL_ASSIGN_OR_RETURN(measured[i], MeasureOne(view, whole, queries.row(i), unit, options));
    return absl::OkStatus();
  }));
  Deficits deficits;
  for (OfQuery& one : measured) {
    if (!one.empty()) deficits.queries.push_back(std::move(one));
  }
  return deficits;
}

KeepRule LearnSlacks(const Deficits& deficits, double share) {
  KeepRule rule;
  if (deficits.queries.empty()) return rule;
  const size_t stages = deficits.queries.front().size();
  const double least = 1 - (1 - share) / static_cast<double>(stages);
  for (size_t stage = 0; stage < stages; ++stage) {
    rule.slacks.push_back(LearnSlack(deficits, stage, least));
  }
  // All stages have the same queries: either each has a slack or none.
  if (rule.slacks.front() == kAllGoOn) return rule;
  std::vector<double> kept;
  for (size_t i = 1; i < deficits.queries.size(); i += 2) {
    kept.push_back(KeptOf(deficits.queries[i], rule.slacks));
  }
  rule.kept = Mean(kept);
  return rule;
}

absl::StatusOr<KeepRule> LearnKeep(const funnel::View& view, const funnel::Plan& plan,
                                   uint32_t dims, double share, size_t threads,
                                   const StoppedFn& stopped) {
  if (plan.stages.size() < 2) return KeepRule();
  MRL_ASSIGN_OR_RETURN(const ViewQueries queries,
                       SampleQueries(view, KeepRule::kSample, /*seed=*/1, dims));
  MRL_ASSIGN_OR_RETURN(const Deficits deficits,
                       MeasureDeficits(view, plan, queries, threads, stopped));
  return LearnSlacks(deficits, share);
}

}  // namespace mrl::tune
