#include "index/tune/early_exit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/for_each.h"
#include "base/status.h"
#include "index/funnel/stepped.h"
#include "index/tune/interval.h"

namespace mrl::tune {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

// Of at most 2k hits, best first.
double MarginOf(absl::Span<const funnel::Hit> best, size_t k) {
  if (best.size() <= k) return kNever;
  return std::abs(static_cast<double>(best[k - 1].score) - best.back().score);
}

// A step for every stage but the last.
absl::StatusOr<std::vector<Tried::Step>> TryOne(const funnel::View& view, const funnel::Plan& plan,
                                                absl::Span<const float> query,
                                                const funnel::RunOptions& options) {
  std::vector<Tried::Step> steps;
  std::vector<std::vector<funnel::Hit>> early;
  funnel::SteppedOptions stepped;
  stepped.watched = size_t{2} * plan.k;
  stepped.after = [&](size_t stage, const funnel::StageTrace&, absl::Span<const funnel::Hit> best) {
    if (stage + 1 < plan.stages.size()) {
      steps.push_back({MarginOf(best, plan.k), 0});
      const size_t count = std::min<size_t>(plan.k, best.size());
      early.emplace_back(best.begin(), best.begin() + static_cast<ptrdiff_t>(count));
    }
    return funnel::Next::kGoOn;
  };
  MRL_ASSIGN_OR_RETURN(const funnel::SteppedOutput output,
                       funnel::RunStepped(view, plan, query, options, stepped));
  for (size_t i = 0; i < steps.size(); ++i) {
    steps[i].kept = ShareKept(early[i], output.output.hits);
  }
  return steps;
}

// The least margin above which enough is kept, by the steps of queries begin, begin + 2, …
double LearnMargin(const std::vector<Tried::Step>& tried, double share) {
  std::vector<Tried::Step> steps;
  for (size_t i = 0; i < tried.size(); i += 2) steps.push_back(tried[i]);
  std::sort(steps.begin(), steps.end(),
            [](const Tried::Step& a, const Tried::Step& b) { return a.margin > b.margin; });
  double margin = kNever;
  double sum = 0;
  double squares = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    sum += steps[i].kept;
    squares += steps[i].kept * steps[i].kept;
    const bool ends = i + 1 == steps.size() || steps[i + 1].margin < steps[i].margin;
    if (!ends || i + 1 < ExitRule::kQueriesMin) continue;
    if (LowerMean(sum, squares, i + 1) >= share) margin = steps[i].margin;
  }
  return margin;
}

}  // namespace

double ShareKept(absl::Span<const funnel::Hit> early, absl::Span<const funnel::Hit> last) {
  const auto is_early = [&](const funnel::Hit& hit) {
    return std::any_of(early.begin(), early.end(),
                       [&](const funnel::Hit& other) { return other.at == hit.at; });
  };
  if (last.empty()) return 1;
  return static_cast<double>(std::count_if(last.begin(), last.end(), is_early)) /
         static_cast<double>(last.size());
}

absl::StatusOr<Tried> TryExits(const funnel::View& view, const funnel::Plan& plan,
                               const ViewQueries& queries, size_t threads,
                               const StoppedFn& stopped) {
  if (queries.rows() == 0) {
    return absl::FailedPreconditionError("there are no points to learn early exits from");
  }
  std::vector<std::vector<Tried::Step>> steps(queries.rows());
  MRL_RETURN_IF_ERROR(ForEach(queries.rows(), threads, [&](size_t i) -> absl::Status {
    funnel::RunOptions options;
    options.stopped = stopped;
    if (!queries.own.empty()) options.leave_out = queries.own[i];
    MRL_ASSIGN_OR_RETURN(steps[i], TryOne(view, plan, queries.row(i), options));
    return absl::OkStatus();
  }));
  Tried tried;
  tried.stages.resize(plan.stages.size() - 1);
  for (const std::vector<Tried::Step>& one : steps) {
    for (size_t stage = 0; stage < one.size(); ++stage) tried.stages[stage].push_back(one[stage]);
  }
  return tried;
}

ExitRule LearnExits(const Tried& tried, double share) {
  ExitRule rule;
  for (const std::vector<Tried::Step>& steps : tried.stages) {
    ExitRule::AtStage& at = rule.stages.emplace_back();
    at.margin = LearnMargin(steps, share);
    double kept = 0;
    size_t exits = 0;
    for (size_t i = 1; i < steps.size(); i += 2) {
      if (at.margin == kNever || steps[i].margin < at.margin) continue;
      kept += steps[i].kept;
      ++exits;
    }
    if (exits == 0) {
      at.margin = kNever;
    } else {
      at.kept = kept / static_cast<double>(exits);
    }
  }
  return rule;
}

absl::StatusOr<Exited> RunWithExits(const funnel::View& view, const funnel::Plan& plan,
                                    absl::Span<const float> query,
                                    const funnel::RunOptions& options, const ExitRule& rule) {
  Exited exited;
  funnel::SteppedOptions stepped;
  stepped.watched = size_t{2} * plan.k;
  stepped.after = [&](size_t stage, const funnel::StageTrace&, absl::Span<const funnel::Hit> best) {
    if (stage >= rule.stages.size()) return funnel::Next::kGoOn;
    const ExitRule::AtStage& at = rule.stages[stage];
    if (!at.kept.has_value() || MarginOf(best, plan.k) < at.margin) return funnel::Next::kGoOn;
    exited.stages = stage + 1;
    exited.kept = at.kept;
    return funnel::Next::kLast;
  };
  MRL_ASSIGN_OR_RETURN(funnel::SteppedOutput output,
                       funnel::RunStepped(view, plan, query, options, stepped));
  exited.output = std::move(output.output);
  return exited;
}

}  // namespace mrl::tune
