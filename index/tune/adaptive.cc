#include "index/tune/adaptive.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/for_each.h"
#include "base/status.h"
#include "index/funnel/stepped.h"

namespace mrl::tune {
namespace {

constexpr uint32_t kFirstKeepPerHit = 40;
constexpr uint32_t kFirstKeepMin = 400;
constexpr double kNever = 2;  // more than all

absl::StatusOr<Vote> VoteOf(absl::Span<const funnel::Hit> best, const LabelFn& label_of) {
  std::vector<std::string> labels;
  for (const funnel::Hit& hit : best) {
    MRL_ASSIGN_OR_RETURN(labels.emplace_back(), label_of(hit.at));
  }
  return MajorityOf(labels);
}

// The vote after every stage of one search.
absl::StatusOr<std::vector<Vote>> Votes(const funnel::View& view, const funnel::Plan& plan,
                                        absl::Span<const float> query,
                                        const funnel::RunOptions& options,
                                        const LabelFn& label_of) {
  std::vector<Vote> votes;
  absl::Status failed;
  funnel::SteppedOptions stepped;
  stepped.after = [&](size_t, const funnel::StageTrace&, absl::Span<const funnel::Hit> best) {
    auto vote = VoteOf(best, label_of);
    failed = vote.status();
    if (!failed.ok()) return funnel::Next::kEnd;
    votes.push_back(*std::move(vote));
    return funnel::Next::kGoOn;
  };
  MRL_RETURN_IF_ERROR(funnel::RunStepped(view, plan, query, options, stepped).status());
  MRL_RETURN_IF_ERROR(failed);
  return votes;
}

}  // namespace

Vote MajorityOf(absl::Span<const std::string> labels) {
  std::map<std::string, size_t> counts;
  size_t voters = 0;
  for (const std::string& label : labels) {
    if (label.empty()) continue;
    ++counts[label];
    ++voters;
  }
  Vote vote;
  size_t most = 0;
  for (const std::string& label : labels) {
    if (label.empty() || counts[label] <= most) continue;
    most = counts[label];
    vote.label = label;
  }
  if (voters > 0) vote.share = static_cast<double>(most) / static_cast<double>(voters);
  return vote;
}

funnel::Funnel ClimbingFunnel(const Schema& schema, uint32_t query_dims, uint32_t k) {
  funnel::Funnel funnel;
  funnel.kind = "scan";
  uint64_t keep = std::max<uint64_t>(uint64_t{kFirstKeepPerHit} * k, kFirstKeepMin);
  for (const uint32_t dims : schema.ladder) {
    if (dims > query_dims) break;
    const auto kept = static_cast<uint32_t>(std::min<uint64_t>(keep, funnel::Limits::kKeepMax));
    funnel.stages.push_back({.dims = dims, .bits = 0, .keep = kept});
    keep = std::max<uint64_t>(keep / 2, k);
  }
  funnel.stages.back().keep = 0;
  // A funnel has a limited number of stages: the shortest prefixes decide least.
  if (funnel.stages.size() > funnel::Limits::kStagesMax) {
    funnel.stages.erase(funnel.stages.begin(),
                        funnel.stages.end() - static_cast<ptrdiff_t>(funnel::Limits::kStagesMax));
  }
  return funnel;
}

absl::StatusOr<Judged> JudgeVotes(const funnel::View& view, const funnel::Plan& plan,
                                  const ViewQueries& queries, const LabelFn& label_of,
                                  size_t threads, const StoppedFn& stopped) {
  std::vector<std::vector<Vote>> votes(queries.rows());
  std::vector<std::string> labels(queries.rows());
  MRL_RETURN_IF_ERROR(ForEach(queries.rows(), threads, [&](size_t i) -> absl::Status {
    MRL_ASSIGN_OR_RETURN(labels[i], label_of(queries.own[i]));
    if (labels[i].empty()) return absl::OkStatus();
    funnel::RunOptions options;
    options.stopped = stopped;
    options.leave_out = queries.own[i];
    MRL_ASSIGN_OR_RETURN(votes[i], Votes(view, plan, queries.row(i), options, label_of));
    return absl::OkStatus();
  }));
  Judged judged;
  judged.stages.resize(plan.stages.size());
  for (const funnel::Stage& stage : plan.stages) judged.dims.push_back(stage.dims);
  for (size_t i = 0; i < votes.size(); ++i) {
    for (size_t stage = 0; stage < votes[i].size(); ++stage) {
      const Vote& vote = votes[i][stage];
      judged.stages[stage].push_back({vote.share, vote.label == labels[i]});
    }
  }
  if (!judged.stages.front().empty()) return judged;
  return absl::InvalidArgumentError(
      absl::StrCat("none of ", queries.rows(), " sampled points has the label"));
}

std::vector<double> LearnThresholds(const Judged& judged, double confidence) {
  std::vector<double> thresholds;
  for (const std::vector<Judged::Step>& stage : judged.stages) {
    std::vector<Judged::Step> steps = stage;
    std::sort(steps.begin(), steps.end(),
              [](const Judged::Step& a, const Judged::Step& b) { return a.share > b.share; });
    double threshold = kNever;
    size_t right = 0;
    for (size_t i = 0; i < steps.size(); ++i) {
      right += steps[i].right ? 1 : 0;
      const bool ends = i + 1 == steps.size() || steps[i + 1].share < steps[i].share;
      if (ends && static_cast<double>(right) >= confidence * static_cast<double>(i + 1)) {
        threshold = steps[i].share;
      }
    }
    thresholds.push_back(threshold);
  }
  if (!thresholds.empty()) thresholds.back() = 0;
  return thresholds;
}

double RightShare(const Judged& judged, size_t stage, double share) {
  size_t all = 0;
  size_t right = 0;
  for (const Judged::Step& step : judged.stages[stage]) {
    if (step.share < share) continue;
    ++all;
    right += step.right ? 1 : 0;
  }
  return all == 0 ? 0 : static_cast<double>(right) / static_cast<double>(all);
}

Cascade RunCascade(const Judged& judged, absl::Span<const double> thresholds) {
  Cascade cascade;
  const size_t queries = judged.stages.front().size();
  for (size_t i = 0; i < queries; ++i) {
    size_t stage = 0;
    while (stage + 1 < judged.stages.size() && judged.stages[stage][i].share < thresholds[stage]) {
      ++stage;
    }
    cascade.accuracy += judged.stages[stage][i].right ? 1 : 0;
    cascade.expected_dims += judged.dims[stage];
  }
  cascade.accuracy /= static_cast<double>(queries);
  cascade.expected_dims /= static_cast<double>(queries);
  return cascade;
}

absl::StatusOr<Classified> Classify(const funnel::View& view, const funnel::Plan& plan,
                                    absl::Span<const float> query,
                                    const funnel::RunOptions& options, const LabelFn& label_of,
                                    absl::Span<const double> thresholds) {
  Classified classified;
  absl::Status failed;
  funnel::SteppedOptions stepped;
  stepped.after = [&](size_t stage, const funnel::StageTrace&, absl::Span<const funnel::Hit> best) {
    auto vote = VoteOf(best, label_of);
    failed = vote.status();
    if (!failed.ok()) return funnel::Next::kEnd;
    classified.vote = *std::move(vote);
    classified.stage = stage;
    return classified.vote.share >= thresholds[stage] && !classified.vote.label.empty()
               ? funnel::Next::kEnd
               : funnel::Next::kGoOn;
  };
  MRL_ASSIGN_OR_RETURN(funnel::SteppedOutput output,
                       funnel::RunStepped(view, plan, query, options, stepped));
  MRL_RETURN_IF_ERROR(failed);
  classified.trace = std::move(output.output.trace);
  return classified;
}

}  // namespace mrl::tune
