#include "index/tune/tuner.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "index/tune/chains.h"
#include "index/tune/measure.h"
#include "index/tune/probe.h"

namespace mrl::tune {
namespace {

// How far above the target predictions aim, in half-widths of the interval: the lower end has to
// reach the target, and the prediction errs to the safe side.
constexpr double kAims[] = {-0.5, 0, 0.5, 1, 1.5};
// What the front is made of, and what is tried for a latency.
constexpr double kFrontTargets[] = {0.5,  0.7,  0.8,   0.9,   0.95,  0.97,
                                    0.98, 0.99, 0.995, 0.998, 0.999, 1};
constexpr double kShorter = 0.9;     // one step of shortening a keep
constexpr double kTimeNoise = 1.15;  // plans within this of the cheapest prediction are timed
constexpr size_t kTimingRounds = 3;
constexpr size_t kBudgetSteps = 7;
constexpr size_t kShortenedMax = 3;  // plans whose keeps are shortened

struct Trial {
  funnel::Plan plan;
  double predicted_us = 0;
  double recall = 0;
  Interval interval;
  std::vector<double> recalls;
  double mean_bytes = 0;
  std::vector<double> millis;  // empty until timed
  // Without the slowest fifth: that is where another program had the core.
  double TypicalMillis() const {
    std::vector<double> sorted = millis;
    std::sort(sorted.begin(), sorted.end());
    return Mean(absl::MakeConstSpan(sorted).first((sorted.size() * 4 + 4) / 5));
  }
};

class Tuner {
 public:
  Tuner(const Subject& subject, const TuneOptions& options, const ProgressFn& progress)
      : subject_(subject), options_(options), progress_(progress) {}

  absl::StatusOr<TuneResult> Run() {
    Split();
    ProbeOptions probe;
    probe.k = options_.k;
    probe.threads = options_.threads;
    probe.costs_are_bytes = options_.target_bytes > 0;
    MRL_ASSIGN_OR_RETURN(input_, Probe(subject_, result_.tuning_queries, probe, progress_));
    if (options_.has_budget()) {
      MRL_RETURN_IF_ERROR(TryFront());
      MRL_RETURN_IF_ERROR(ChooseByBudget());
    } else {
      MRL_RETURN_IF_ERROR(TryTarget());
      MRL_RETURN_IF_ERROR(ShortenBest());
      MRL_RETURN_IF_ERROR(ChooseByRecall());
      MRL_RETURN_IF_ERROR(TryFront());
    }
    MRL_RETURN_IF_ERROR(TimeAll());
    MRL_RETURN_IF_ERROR(Report());
    return std::move(result_);
  }

 private:
  void Split() {
    std::vector<size_t> order(subject_.truth.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::mt19937_64 engine(options_.seed);
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[engine() % i]);
    const auto middle = order.begin() + static_cast<std::ptrdiff_t>((order.size() + 1) / 2);
    result_.tuning_queries.assign(order.begin(), middle);
    result_.held_out_queries.assign(middle, order.end());
    timed_queries_.assign(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(
                                                             std::min(result_.tuning_queries.size(),
                                                                      options_.timed_queries_max)));
  }

  IntervalOptions interval_options() const {
    const double k =
        static_cast<double>(std::max<uint64_t>(1, std::min<uint64_t>(options_.k, subject_.rows)));
    return {.seed = options_.seed, .unit = 1 / k};
  }

  // Runs a funnel on the tuning half, unless it ran before. Null when the planner refuses it.
  absl::StatusOr<Trial*> Try(const funnel::Funnel& funnel, double predicted_us) {
    funnel::PlanInput input = subject_.plan;
    input.k = options_.k;
    input.funnel = funnel;
    input.exact = false;
    absl::StatusOr<funnel::Plan> plan = funnel::MakePlan(input);
    if (!plan.ok()) return nullptr;
    const auto [place, is_new] = trials_.try_emplace(plan->ToText());
    Trial& trial = place->second;
    if (!is_new) return &trial;
    trial.plan = *std::move(plan);
    trial.predicted_us = predicted_us;
    MRL_ASSIGN_OR_RETURN(trial.recalls,
                         MeasureRecalls(subject_, trial.plan, result_.tuning_queries, options_.k,
                                        options_.threads, &trial.mean_bytes));
    trial.recall = Mean(trial.recalls);
    trial.interval = MeanInterval(trial.recalls, interval_options());
    if (progress_) progress_("running funnels", trials_.size(), trials_expected_);
    return &trial;
  }

  // A scan of the whole vectors: what always finds all, and costs most.
  absl::Status TryExact() {
    funnel::Funnel all;
    all.kind = "scan";
    all.stages = {{.dims = subject_.plan.query_dims, .bits = 0, .keep = options_.k}};
    return Try(all, 0).status();
  }

  bool Reaches(const Trial& trial) const { return trial.interval.low >= options_.target_recall; }

  // The half-width of the interval at a recall, before anything ran there: from the spread that
  // independent neighbours would have, doubled, since those of a query go together.
  double HalfWidth(double recall) const {
    const double queries = static_cast<double>(result_.tuning_queries.size());
    const double k = static_cast<double>(options_.k);
    const double spread = std::sqrt(recall * (1 - recall) / std::max(1.0, std::min(k, 4.0)));
    return std::max(2 * spread / std::sqrt(queries), 1 / (queries * k));
  }

  absl::Status TryTarget() {
    std::vector<Chain> chains;
    for (const double aim : kAims) {
      const double wanted =
          std::min(1.0, options_.target_recall + aim * HalfWidth(options_.target_recall));
      for (Chain& chain : CheapestChains(input_, wanted, options_.candidates_max / 2)) {
        chains.push_back(std::move(chain));
      }
    }
    std::sort(chains.begin(), chains.end(),
              [](const Chain& a, const Chain& b) { return a.micros < b.micros; });
    trials_expected_ = chains.size();
    double cheapest_us = 0;
    for (const Chain& chain : chains) {
      if (cheapest_us > 0 && chain.micros > cheapest_us * kTimeNoise) break;
      MRL_ASSIGN_OR_RETURN(const Trial* trial, Try(ToFunnel(input_, chain), chain.micros));
      if (trial != nullptr && cheapest_us == 0 && Reaches(*trial)) cheapest_us = chain.micros;
    }
    return cheapest_us == 0 ? TryExact() : absl::OkStatus();
  }

  std::vector<Trial*> Reaching() {
    std::vector<Trial*> reaching;
    for (auto& [text, trial] : trials_) {
      if (Reaches(trial)) reaching.push_back(&trial);
    }
    return reaching;
  }

  // Predictions are on the safe side: takes rows from each keep in turn while the recall holds.
  absl::Status ShortenBest() {
    std::vector<Trial*> best = Reaching();
    std::sort(best.begin(), best.end(),
              [](const Trial* a, const Trial* b) { return a->predicted_us < b->predicted_us; });
    if (best.size() > kShortenedMax) best.resize(kShortenedMax);
    for (const Trial* trial : best) {
      MRL_RETURN_IF_ERROR(Shorten(*trial));
    }
    return absl::OkStatus();
  }

  absl::Status Shorten(const Trial& trial) {
    funnel::Funnel funnel = {trial.plan.kind, trial.plan.params, trial.plan.stages};
    // The last keep before the full vector costs most per row, the first is the longest.
    for (size_t i = funnel.stages.size() - 1; i-- > 0;) {
      while (true) {
        const funnel::Funnel held = funnel;
        uint32_t& keep = funnel.stages[i].keep;
        keep = static_cast<uint32_t>(keep * kShorter);
        if (keep < funnel.stages[i + 1].keep) {
          funnel = held;
          break;
        }
        MRL_ASSIGN_OR_RETURN(const Trial* shorter, Try(funnel, trial.predicted_us));
        if (shorter == nullptr || !Reaches(*shorter)) {
          funnel = held;
          break;
        }
      }
    }
    return absl::OkStatus();
  }

  absl::Status Time(const std::vector<Trial*>& trials) {
    std::vector<funnel::Plan> plans;
    plans.reserve(trials.size());
    for (const Trial* trial : trials) plans.push_back(trial->plan);
    MRL_ASSIGN_OR_RETURN(auto millis,
                         MeasureMillis(subject_, plans, timed_queries_, kTimingRounds));
    for (size_t i = 0; i < trials.size(); ++i) trials[i]->millis = std::move(millis[i]);
    return absl::OkStatus();
  }

  // The fastest of those that reach the target; the one of highest lower end where none does.
  absl::Status ChooseByRecall() {
    std::vector<Trial*> reaching = Reaching();
    result_.reached = !reaching.empty();
    if (reaching.empty()) {
      for (auto& [text, trial] : trials_) {
        if (chosen_ == nullptr || trial.interval.low > chosen_->interval.low) chosen_ = &trial;
      }
      return absl::OkStatus();
    }
    MRL_RETURN_IF_ERROR(Time(Undominated(reaching, /*any_recall=*/true)));
    for (Trial* trial : reaching) {
      if (trial->millis.empty()) continue;
      if (chosen_ == nullptr || trial->TypicalMillis() < chosen_->TypicalMillis()) {
        chosen_ = trial;
      }
    }
    return absl::OkStatus();
  }

  // The same stages, no keep shorter, one longer.
  static bool IsLonger(const funnel::Plan& a, const funnel::Plan& b) {
    if (a.kind != b.kind || a.params != b.params || a.stages.size() != b.stages.size()) {
      return false;
    }
    bool any = false;
    for (size_t i = 0; i < a.stages.size(); ++i) {
      const funnel::Stage& one = a.stages[i];
      const funnel::Stage& other = b.stages[i];
      if (one.dims != other.dims || one.bits != other.bits || one.keep < other.keep) return false;
      any |= one.keep > other.keep;
    }
    return any;
  }

  // Leaves out what another plan beats without a clock: shorter keeps, and recall that is as good
  // or, where `any_recall`, good enough.
  static std::vector<Trial*> Undominated(const std::vector<Trial*>& trials, bool any_recall) {
    std::vector<Trial*> left;
    for (Trial* trial : trials) {
      const bool dominated = std::any_of(trials.begin(), trials.end(), [&](const Trial* other) {
        return IsLonger(trial->plan, other->plan) && (any_recall || other->recall >= trial->recall);
      });
      if (!dominated) left.push_back(trial);
    }
    return left;
  }

  absl::Status TryFront() {
    for (const double target : kFrontTargets) {
      for (const Chain& chain : CheapestChains(input_, target, 1)) {
        MRL_RETURN_IF_ERROR(Try(ToFunnel(input_, chain), chain.micros).status());
      }
    }
    return trials_.empty() ? TryExact() : absl::OkStatus();
  }

  // Times what has no times yet and belongs to the front by what was predicted.
  absl::Status TimeAll() {
    std::vector<Trial*> untimed;
    for (auto& [text, trial] : trials_) {
      if (trial.millis.empty() && trial.predicted_us > 0) untimed.push_back(&trial);
    }
    return Time(Undominated(untimed, /*any_recall=*/false));
  }

  // What the budget is held against.
  double CostOf(const Trial& trial) const {
    if (options_.target_bytes > 0) return trial.mean_bytes;
    std::vector<double> millis = trial.millis;
    return Summarise(millis).p99_ms;
  }

  // Runs the chains between the front's points, by halves, towards what the budget still pays for.
  absl::Status NarrowBudget(double budget) {
    double low = kFrontTargets[0] / 2;
    double high = 1;
    for (size_t i = 0; i < kBudgetSteps; ++i) {
      const double target = (low + high) / 2;
      Trial* trial = nullptr;
      for (const Chain& chain : CheapestChains(input_, target, 1)) {
        MRL_ASSIGN_OR_RETURN(trial, Try(ToFunnel(input_, chain), chain.micros));
      }
      if (trial != nullptr && trial->millis.empty()) MRL_RETURN_IF_ERROR(Time({trial}));
      const bool fits = trial != nullptr && CostOf(*trial) <= budget;
      (fits ? low : high) = target;
    }
    return absl::OkStatus();
  }

  // The best recall within the budget; the cheapest where none is.
  absl::Status ChooseByBudget() {
    const double budget =
        options_.target_bytes > 0 ? options_.target_bytes : options_.target_p99_ms;
    MRL_RETURN_IF_ERROR(TimeAll());
    MRL_RETURN_IF_ERROR(NarrowBudget(budget));
    Trial* cheapest = nullptr;
    for (auto& [text, trial] : trials_) {
      if (trial.millis.empty()) continue;
      if (cheapest == nullptr || CostOf(trial) < CostOf(*cheapest)) cheapest = &trial;
      if (CostOf(trial) > budget) continue;
      if (chosen_ == nullptr || trial.recall > chosen_->recall) chosen_ = &trial;
    }
    result_.reached = chosen_ != nullptr;
    if (chosen_ == nullptr) chosen_ = cheapest;
    return absl::OkStatus();
  }

  Measured ToMeasured(const Trial& trial) const {
    std::vector<double> millis = trial.millis;
    return {.plan = trial.plan,
            .recall = trial.recall,
            .interval = trial.interval,
            .times = Summarise(millis),
            .recalls = trial.recalls,
            .mean_bytes = trial.mean_bytes};
  }

  absl::Status Report() {
    CHECK(chosen_ != nullptr);
    if (chosen_->millis.empty()) MRL_RETURN_IF_ERROR(Time({chosen_}));
    result_.tuning = ToMeasured(*chosen_);
    result_.tried = trials_.size();
    MRL_ASSIGN_OR_RETURN(result_.held_out, CheckHeldOut(chosen_->plan));
    std::vector<const Trial*> timed;
    for (const auto& [text, trial] : trials_) {
      if (!trial.millis.empty()) timed.push_back(&trial);
    }
    std::sort(timed.begin(), timed.end(), [](const Trial* a, const Trial* b) {
      return a->TypicalMillis() < b->TypicalMillis();
    });
    double best = -1;
    for (const Trial* trial : timed) {
      if (trial->recall <= best) continue;
      best = trial->recall;
      result_.front.push_back(ToMeasured(*trial));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Measured> CheckHeldOut(const funnel::Plan& plan) {
    const std::vector<size_t>& queries = result_.held_out_queries;
    Measured measured;
    measured.plan = plan;
    MRL_ASSIGN_OR_RETURN(measured.recalls, MeasureRecalls(subject_, plan, queries, options_.k,
                                                          options_.threads, &measured.mean_bytes));
    measured.recall = Mean(measured.recalls);
    measured.interval = MeanInterval(measured.recalls, interval_options());
    MRL_ASSIGN_OR_RETURN(auto millis, MeasureMillis(subject_, {plan}, queries, kTimingRounds));
    measured.times = Summarise(millis.front());
    return measured;
  }

  const Subject& subject_;
  const TuneOptions& options_;
  const ProgressFn& progress_;
  ChainInput input_;
  std::vector<size_t> timed_queries_;
  std::map<std::string, Trial> trials_;  // by the text of the plan
  uint64_t trials_expected_ = 0;
  Trial* chosen_ = nullptr;
  TuneResult result_;
};

}  // namespace

absl::Status TuneOptions::Validate() const {
  if (!(target_recall > 0 && target_recall <= 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the target recall is ", target_recall, "; above 0 to 1 is allowed"));
  }
  if (!(target_p99_ms >= 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the target latency is ", target_p99_ms, " ms; it cannot be negative"));
  }
  if (!(target_bytes >= 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the target is ", target_bytes, " bytes; it cannot be negative"));
  }
  if (k == 0 || k > funnel::Limits::kKMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("k is ", k, "; it goes from 1 to ", funnel::Limits::kKMax));
  }
  return absl::OkStatus();
}

absl::StatusOr<TuneResult> Tune(const Subject& subject, const TuneOptions& options,
                                const ProgressFn& progress) {
  MRL_RETURN_IF_ERROR(options.Validate());
  if (subject.truth.size() < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("there are ", subject.truth.size(),
                     " queries; tuning needs 2 at least, one half tunes and the other checks"));
  }
  return Tuner(subject, options, progress).Run();
}

}  // namespace mrl::tune
