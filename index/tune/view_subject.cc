#include "index/tune/view_subject.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/for_each.h"
#include "base/status.h"
#include "index/transform/transform.h"

namespace mrl::tune {
namespace {

using Clock = std::chrono::steady_clock;

bool TakesPart(const funnel::View::Part& part, uint32_t row) {
  const uint64_t* allowed = part.allowed_data();
  return allowed == nullptr || ((allowed[row / 64] >> (row % 64)) & 1) != 0;
}

funnel::RunOptions OptionsFor(const ViewQueries& queries, size_t query, const StoppedFn& stopped) {
  funnel::RunOptions options;
  options.stopped = stopped;
  if (!queries.own.empty()) options.leave_out = queries.own[query];
  return options;
}

}  // namespace

uint64_t RowOf(const funnel::Location& at) { return (uint64_t{at.part} << 32) | at.row; }

funnel::Location LocationOf(uint64_t row) {
  return {static_cast<uint32_t>(row >> 32), static_cast<uint32_t>(row)};
}

std::vector<funnel::Location> SampleRows(const funnel::View& view, size_t count, uint64_t seed) {
  // Selection sampling: a row is taken with the chance of what is still wanted among what is left.
  std::mt19937_64 engine(seed);
  uint64_t left = view.rows();
  uint64_t wanted = std::min<uint64_t>(count, left);
  std::vector<funnel::Location> rows;
  rows.reserve(wanted);
  for (uint32_t part = 0; part < view.parts.size(); ++part) {
    const funnel::View::Part& from = view.parts[part];
    for (uint32_t row = 0; row < from.segment->rows() && wanted > 0; ++row) {
      if (!TakesPart(from, row)) continue;
      if (engine() % left < wanted) {
        rows.push_back({part, row});
        --wanted;
      }
      --left;
    }
  }
  return rows;
}

absl::StatusOr<ViewQueries> SampleQueries(const funnel::View& view, size_t count, uint64_t seed,
                                          uint32_t dims) {
  ViewQueries queries;
  queries.dims = view.schema.dim;
  queries.own = SampleRows(view, count, seed);
  queries.values.resize(queries.own.size() * queries.dims);
  for (size_t i = 0; i < queries.own.size(); ++i) {
    const funnel::Location& at = queries.own[i];
    MRL_RETURN_IF_ERROR(
        view.parts[at.part].segment->Vector(at.row, queries.values.data() + i * queries.dims));
  }
  if (dims > 0 && dims < queries.dims) return ShortenQueries(queries, dims);
  return queries;
}

std::vector<Scored> ScoredHits(const funnel::Plan& plan, size_t query_dims,
                               absl::Span<const funnel::Hit> hits) {
  const funnel::Stage& last = plan.stages.back();
  const bool is_whole = last.dims == query_dims && last.bits == 0;
  std::vector<Scored> scored;
  scored.reserve(hits.size());
  for (const funnel::Hit& hit : hits) {
    scored.push_back(
        {RowOf(hit.at), is_whole ? hit.score : std::numeric_limits<float>::quiet_NaN()});
  }
  return scored;
}

ViewQueries ShortenQueries(const ViewQueries& queries, uint32_t dims) {
  ViewQueries shorter;
  shorter.dims = dims;
  shorter.own = queries.own;
  for (size_t i = 0; i < queries.rows(); ++i) {
    const absl::Span<const float> row = queries.row(i).first(dims);
    shorter.values.insert(shorter.values.end(), row.begin(), row.end());
  }
  return shorter;
}

void TransformQueries(const Schema& schema, ViewQueries* queries) {
  for (size_t i = 0; i < queries->rows(); ++i) {
    float* row = queries->values.data() + i * queries->dims;
    transform::Apply(schema, row, queries->dims, row);
  }
}

Subject MakeSubject(const funnel::View& view, const funnel::PlanInput& plan,
                    const ViewQueries& queries, StoppedFn stopped) {
  Subject subject;
  subject.plan = plan;
  subject.plan.query_dims = queries.dims;
  subject.rows = view.rows();
  subject.params = ParamsToTry(view);
  subject.search = [&view, &queries, stopped = std::move(stopped)](
                       const funnel::Plan& run, size_t query) -> absl::StatusOr<Answer> {
    const auto start = Clock::now();
    MRL_ASSIGN_OR_RETURN(funnel::Output output, funnel::Run(view, run, queries.row(query),
                                                            OptionsFor(queries, query, stopped)));
    Answer answer;
    answer.millis = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
    answer.rows = ScoredHits(run, queries.dims, output.hits);
    answer.stages = std::move(output.trace.stages);
    return answer;
  };
  return subject;
}

LostAtFn LostAt(const funnel::View& view, const ViewQueries& queries, StoppedFn stopped) {
  return [&view, &queries, stopped = std::move(stopped)](
             const funnel::Plan& plan, size_t query,
             absl::Span<const uint64_t> rows) -> absl::StatusOr<std::vector<int>> {
    std::vector<PointId> ids;
    for (const uint64_t row : rows) {
      const funnel::Location at = LocationOf(row);
      ids.push_back(view.parts[at.part].segment->Id(at.row));
    }
    funnel::RunOptions options = OptionsFor(queries, query, stopped);
    options.why_not = ids;
    MRL_ASSIGN_OR_RETURN(const funnel::Output output,
                         funnel::Run(view, plan, queries.row(query), options));
    std::vector<int> stages;
    for (const funnel::WhyNot& why : output.trace.why_not) stages.push_back(why.lost_at);
    return stages;
  };
}

absl::Status FindTruth(const funnel::View& view, const ViewQueries& queries, uint32_t k,
                       size_t threads, const StoppedFn& stopped, const ProgressFn& progress,
                       Subject* subject) {
  funnel::PlanInput input = subject->plan;
  input.k = k;
  input.exact = true;
  MRL_ASSIGN_OR_RETURN(const funnel::Plan plan, funnel::MakePlan(input));
  subject->truth.assign(queries.rows(), {});
  absl::Mutex mutex;
  uint64_t done = 0;
  return ForEach(queries.rows(), threads, [&](size_t i) -> absl::Status {
    MRL_ASSIGN_OR_RETURN(const funnel::Output output,
                         funnel::Run(view, plan, queries.row(i), OptionsFor(queries, i, stopped)));
    subject->truth[i] = ScoredHits(plan, queries.dims, output.hits);
    if (subject->truth[i].empty()) {
      return absl::FailedPreconditionError(absl::StrCat(view.rows(), " points can be found; query ",
                                                        i, " has no neighbour among them"));
    }
    absl::MutexLock lock(&mutex);
    if (progress) progress("finding the true neighbours", ++done, queries.rows());
    return absl::OkStatus();
  });
}

absl::StatusOr<std::vector<double>> TimePrefixes(const funnel::View& view,
                                                 const funnel::PlanInput& plan,
                                                 const ViewQueries& queries, uint32_t k,
                                                 const StoppedFn& stopped) {
  constexpr size_t kQueries = 15;
  const size_t count = std::min(kQueries, queries.rows());
  const uint32_t wanted = std::min(k, funnel::Limits::kKMax);  // a report may look at more
  std::vector<double> millis;
  for (const uint32_t dims : view.schema.ladder) {
    funnel::PlanInput input = plan;
    input.k = wanted;
    input.query_dims = queries.dims;
    input.funnel = funnel::Funnel{
        .kind = "scan", .params = {}, .stages = {{.dims = dims, .bits = 0, .keep = 10 * wanted}}};
    MRL_ASSIGN_OR_RETURN(const funnel::Plan scan, funnel::MakePlan(input));
    std::vector<double> times;
    for (size_t i = 0; i < count; ++i) {
      MRL_ASSIGN_OR_RETURN(const funnel::Output output,
                           funnel::Run(view, scan, queries.row(i), {.stopped = stopped}));
      times.push_back(output.trace.stages.front().micros / 1000);
    }
    std::nth_element(times.begin(), times.begin() + count / 2, times.end());
    millis.push_back(times[count / 2]);
  }
  return millis;
}

std::vector<coarse::Params> ParamsToTry(const funnel::View& view, absl::string_view kind) {
  constexpr double kFirst = 8;
  constexpr double kLast = 512;
  constexpr double kFirstBounded = 64;
  constexpr double kListsShare = 0.25;  // what looks at more of the lists is no cheaper than a scan
  coarse::Effort effort;
  for (const funnel::View::Part& part : view.parts) {
    const auto index =
        std::find_if(part.indexes.begin(), part.indexes.end(),
                     [kind](const auto& built) { return kind.empty() || built->kind() == kind; });
    if (index == part.indexes.end()) continue;
    const coarse::Effort of_part = (*index)->effort();
    if (effort.param.empty()) effort.param = of_part.param;
    effort.bounded = of_part.bounded;
    // The least that any part allows is the most that can be asked of all.
    effort.most = std::min(effort.most, of_part.most);
  }
  if (effort.param.empty() || effort.most < kFirst) return {{}};
  double last = std::min(kLast, effort.most);
  // Of very many lists a share; a library may not say how many there are.
  if (effort.param == "nprobe" && std::isfinite(effort.most)) {
    last = std::max(last, kListsShare * effort.most);
  }
  std::vector<coarse::Params> params;
  for (double value = kFirst; value <= last; value *= 2) {
    params.push_back({{effort.param, value}});
    if (value < kFirstBounded || effort.bounded.empty()) continue;
    params.push_back(effort.bounded);
    params.back()[effort.param] = value;
  }
  return params;
}

}  // namespace mrl::tune
