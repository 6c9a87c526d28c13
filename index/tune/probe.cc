#include "index/tune/probe.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "base/check.h"
#include "base/for_each.h"
#include "base/status.h"

namespace mrl::tune {
namespace {

constexpr absl::string_view kScan = "scan";
constexpr uint32_t kBoundedBits = 8;  // codes that make a scan of their prefix exact
constexpr uint32_t kKeepPerHit = 20;
constexpr uint32_t kFewRows = 200;  // the two sizes between which a row's cost is taken
constexpr uint32_t kManyRows = 2000;
constexpr uint32_t kCoarseKeepGrowth = 4;
// A graph searches as widely as its shortlist is long: beyond this, all its efSearch are one, and
// slow.
constexpr uint32_t kFaissKeepMax = 1000;

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Not legal for users, but what the engine runs: stages in any order.
funnel::Plan PlanOf(const std::string& kind, const coarse::Params& params,
                    std::vector<funnel::Stage> stages) {
  funnel::Plan plan;
  plan.kind = kind;
  plan.params = params;
  plan.stages = std::move(stages);
  plan.k = plan.stages.back().keep;
  return plan;
}

class Prober {
 public:
  Prober(const Subject& subject, absl::Span<const size_t> queries, const ProbeOptions& options,
         const ProgressFn& progress)
      : subject_(subject),
        schema_(*subject.plan.schema),
        options_(options),
        progress_(progress),
        queries_(queries.subspan(0, std::min(queries.size(), options.rank_queries_max))),
        keep_max_(static_cast<uint32_t>(std::max<uint64_t>(
            options.k, std::min<uint64_t>(subject.rows,
                                          std::max(options.keep_max, kKeepPerHit * options.k))))) {
    input_.schema = &schema_;
    input_.k = options.k;
    input_.rows = subject.rows;
  }

  absl::StatusOr<ChainInput> Run() {
    ChoosePairs();
    ListOptions();
    MRL_RETURN_IF_ERROR(RankAll());
    MRL_RETURN_IF_ERROR(MeasureCosts());
    return std::move(input_);
  }

 private:
  uint32_t query_dims() const { return subject_.plan.query_dims; }
  funnel::Stage Final(uint32_t keep) const {
    return {.dims = query_dims(), .bits = 0, .keep = keep};
  }

  // A scan of the final stage's own scores: its first k are the truth.
  bool IsExact(const CoarseOption& option) const {
    return option.kind == kScan && option.stage.dims == query_dims() && option.stage.bits == 0;
  }

  // Which of a query's true neighbours are followed: all, or some at equal distances.
  void ChoosePairs() {
    for (const size_t query : queries_) {
      first_pair_.push_back(input_.pairs);
      const size_t known = std::min<size_t>(subject_.truth[query].size(), options_.k);
      const size_t taken = std::min(known, options_.pairs_per_query_max);
      auto& rows = followed_.emplace_back();
      for (size_t i = 0; i < taken; ++i)
        rows.emplace(subject_.truth[query][i * known / taken].row, i);
      input_.pairs += taken;
    }
  }

  void AddCoarse(const std::string& kind, const coarse::Params& params, uint32_t dims,
                 uint32_t bits) {
    uint32_t keep = bits == 0 && dims == query_dims() ? options_.k : keep_max_;
    if (kind == "faiss") keep = std::min(keep, std::max(kFaissKeepMax, options_.k));
    input_.coarse.push_back(
        {.kind = kind, .params = params, .stage = {dims, bits, keep}, .ranks = {}, .costs = {}});
  }

  // Every (dims, bits) that stored codes serve; some serve shorter prefixes too.
  std::vector<Code> Codes() const {
    std::vector<Code> codes;
    for (const uint32_t dims : schema_.ladder) {
      for (const uint32_t bits : {1U, 2U, 4U, 8U}) {
        if (dims <= query_dims() && schema_.HasCode(dims, bits)) codes.push_back({dims, bits});
      }
    }
    return codes;
  }

  void ListOptions() {
    const bool any = !schema_.codes.empty();
    for (const Code& code : Codes()) {
      AddCoarse(std::string(kScan), {}, code.dims, code.bits);
      const bool is_final = code.dims == query_dims();
      if (code.bits == kBoundedBits && !is_final) AddCoarse(std::string(kScan), {}, code.dims, 0);
    }
    for (const uint32_t dims : schema_.ladder) {
      // A scan of stored vectors: the whole query is exact search, the rest only where no codes
      // are.
      if (dims == query_dims() || (!any && dims < query_dims())) {
        AddCoarse(std::string(kScan), {}, dims, 0);
      }
    }
    const std::string& active = subject_.plan.kinds.front();
    const uint32_t only_dims = subject_.plan.default_dims;
    for (const coarse::Params& params : subject_.params) {
      AddHeld(active, params);
      if (active != kScan && only_dims > 0 && only_dims <= query_dims()) {
        AddCoarse(active, params, only_dims, 0);
      }
    }
    ListReranks();
  }

  // What a kind holds beside the codes of scan serves shorter prefixes too.
  void AddHeld(const std::string& kind, const coarse::Params& params) {
    const auto held = subject_.plan.kind_codes.find(kind);
    if (held == subject_.plan.kind_codes.end()) return;
    for (const Code& code : Codes()) {
      if (held->second.Serves(code)) AddCoarse(kind, params, code.dims, code.bits);
    }
  }

  void ListReranks() {
    auto& reranks = input_.reranks;
    for (const Code& code : Codes()) {
      reranks.push_back({.stage = {code.dims, code.bits, 0}, .ranks = {}, .cost = {}});
    }
    for (size_t level = 0; level < schema_.levels(); ++level) {
      reranks.push_back({.stage = {schema_.ladder[level], 0, 0},
                         .level = static_cast<int>(level),
                         .ranks = {},
                         .cost = {}});
    }
    const uint64_t final_bits = BitsRead(schema_, Final(0));
    const auto is_above = [&](const RerankOption& option) {
      const bool is_final = option.stage.dims == query_dims() && option.stage.bits == 0;
      const uint64_t bits = BitsRead(schema_, option.stage);
      return option.stage.dims > query_dims() || (bits >= final_bits && !is_final);
    };
    reranks.erase(std::remove_if(reranks.begin(), reranks.end(), is_above), reranks.end());
    std::stable_sort(reranks.begin(), reranks.end(),
                     [this](const RerankOption& a, const RerankOption& b) {
                       return BitsRead(schema_, a.stage) < BitsRead(schema_, b.stage);
                     });
  }

  // The scan that reads most bits below the final stage: its shortlist stands in for all rows
  // where a stage cannot be searched by itself.
  const CoarseOption& Pool() const {
    const CoarseOption* pool = &input_.coarse.front();
    for (const CoarseOption& option : input_.coarse) {
      if (IsExact(option) || option.kind != kScan) continue;
      if (BitsRead(schema_, option.stage) > BitsRead(schema_, pool->stage) ||
          pool->stage.keep < keep_max_) {
        pool = &option;
      }
    }
    return *pool;
  }

  // One pass: the place of each pair in the result of `plan`.
  absl::StatusOr<Ranks> RanksIn(const funnel::Plan& plan) {
    Ranks ranks(input_.pairs, kNotRanked);
    absl::Mutex mutex;
    MRL_RETURN_IF_ERROR(ForEach(queries_.size(), options_.threads, [&](size_t i) -> absl::Status {
      MRL_ASSIGN_OR_RETURN(const Answer answer, subject_.search(plan, queries_[i]));
      for (uint32_t rank = 0; rank < answer.rows.size(); ++rank) {
        const auto pair = followed_[i].find(answer.rows[rank].row);
        if (pair != followed_[i].end()) ranks[first_pair_[i] + pair->second] = rank;
      }
      absl::MutexLock lock(&mutex);
      Advance();
      return absl::OkStatus();
    }));
    return ranks;
  }

  absl::Status RankAll() {
    size_t passes = 0;
    for (const CoarseOption& option : input_.coarse) passes += IsExact(option) ? 0 : 1;
    for (size_t i = 0; i + 1 < input_.reranks.size(); ++i) {
      passes += Same(input_.reranks[i].stage) == nullptr ? 1 : 0;
    }
    what_ = "ranking true neighbours";
    done_ = 0;
    total_ = passes * queries_.size();
    for (CoarseOption& option : input_.coarse) {
      if (IsExact(option)) {
        option.ranks.assign(input_.pairs, 0);
        continue;
      }
      MRL_ASSIGN_OR_RETURN(option.ranks,
                           RanksIn(PlanOf(option.kind, option.params, {option.stage})));
    }
    const CoarseOption& pool = Pool();
    for (size_t i = 0; i + 1 < input_.reranks.size(); ++i) {
      RerankOption& option = input_.reranks[i];
      if (const CoarseOption* same = Same(option.stage)) {
        option.ranks = same->ranks;
        continue;
      }
      funnel::Stage stage = option.stage;
      stage.keep = pool.stage.keep;
      // A shortlist of more dimensions holds too few of the rows that a shorter prefix prefers.
      const bool is_shorter = stage.dims < pool.stage.dims;
      MRL_ASSIGN_OR_RETURN(
          option.ranks, RanksIn(is_shorter ? PlanOf(std::string(kScan), {}, {stage})
                                           : PlanOf(pool.kind, pool.params, {pool.stage, stage})));
    }
    return absl::OkStatus();
  }

  const CoarseOption* Same(const funnel::Stage& stage) const {
    for (const CoarseOption& option : input_.coarse) {
      if (option.kind == kScan && option.stage.dims == stage.dims &&
          option.stage.bits == stage.bits) {
        return &option;
      }
    }
    return nullptr;
  }

  // The median cost of every stage of `plan`, its time or the bytes that it reads, one query at a
  // time.
  absl::StatusOr<std::vector<double>> StageCosts(const funnel::Plan& plan) {
    std::vector<std::vector<double>> micros(plan.stages.size());
    const size_t count = std::min(queries_.size(), options_.cost_queries_max);
    for (size_t i = 0; i < count; ++i) {
      MRL_ASSIGN_OR_RETURN(const Answer answer, subject_.search(plan, queries_[i]));
      CHECK(answer.stages.size() == plan.stages.size());
      for (size_t stage = 0; stage < plan.stages.size(); ++stage) {
        const funnel::StageTrace& ran = answer.stages[stage];
        micros[stage].push_back(options_.costs_are_bytes ? static_cast<double>(ran.bytes)
                                                         : ran.micros);
      }
    }
    std::vector<double> medians;
    medians.reserve(micros.size());
    for (auto& values : micros) medians.push_back(Median(std::move(values)));
    return medians;
  }

  absl::Status MeasureCosts() {
    what_ = "measuring costs";
    done_ = 0;
    total_ = input_.coarse.size() + input_.reranks.size();
    for (CoarseOption& option : input_.coarse) {
      MRL_RETURN_IF_ERROR(MeasureCoarse(option));
      Advance();
    }
    MRL_RETURN_IF_ERROR(MeasureLevels());
    for (RerankOption& option : input_.reranks) {
      if (option.level < 0) {
        MRL_RETURN_IF_ERROR(MeasureCode(option));
      } else {
        option.cost = input_.levels[static_cast<size_t>(option.level)];
      }
      Advance();
    }
    return absl::OkStatus();
  }

  absl::Status MeasureCoarse(CoarseOption& option) {
    // The second stage only keeps the first one from being the last, which sorts by id.
    const funnel::Stage next = {.dims = schema_.ladder.front(), .bits = 0, .keep = options_.k};
    for (uint64_t keep = options_.k;; keep *= kCoarseKeepGrowth) {
      funnel::Stage stage = option.stage;
      stage.keep = static_cast<uint32_t>(std::min<uint64_t>(keep, option.stage.keep));
      MRL_ASSIGN_OR_RETURN(const std::vector<double> micros,
                           StageCosts(PlanOf(option.kind, option.params, {stage, next})));
      option.costs.push_back({stage.keep, micros[0]});
      if (stage.keep == option.stage.keep) return absl::OkStatus();
    }
  }

  // From two sizes of shortlist; times of a loaded machine may fall, costs do not.
  static LinearCost Line(double few_us, double many_us, uint32_t few, uint32_t many) {
    if (few >= many) return {0, many_us / std::max(1U, many)};
    const double per_row = std::max((many_us - few_us) / (many - few), 0.0);
    return {std::max(few_us - per_row * few, 0.0), per_row};
  }

  std::pair<uint32_t, uint32_t> TwoSizes() const {
    const auto rows = static_cast<uint32_t>(std::min<uint64_t>(subject_.rows, keep_max_));
    return {std::min(rows, kFewRows), std::min(rows, kManyRows)};
  }

  // A stage that drops one row of its shortlist pays for the cut as well.
  static void Drop(uint32_t& keep) { keep = std::max(1U, keep - 1); }

  absl::Status MeasureLevels() {
    const auto final_level = static_cast<size_t>(schema_.LevelOf(query_dims()));
    const auto [few, many] = TwoSizes();
    std::vector<std::vector<double>> micros;
    for (uint32_t keep : {few, many}) {
      const CoarseOption& pool = Pool();
      funnel::Stage stage = pool.stage;
      stage.keep = keep;
      std::vector<funnel::Stage> stages = {stage};
      for (size_t level = 0; level <= final_level; ++level) {
        Drop(keep);
        stages.push_back({.dims = schema_.ladder[level], .bits = 0, .keep = keep});
      }
      stages.back().keep = std::min(options_.k, keep);
      MRL_ASSIGN_OR_RETURN(micros.emplace_back(),
                           StageCosts(PlanOf(pool.kind, pool.params, std::move(stages))));
    }
    for (size_t level = 0; level <= final_level; ++level) {
      input_.levels.push_back(Line(micros[0][level + 1], micros[1][level + 1], few, many));
    }
    return absl::OkStatus();
  }

  absl::Status MeasureCode(RerankOption& option) {
    const auto [few, many] = TwoSizes();
    std::vector<double> micros;
    for (uint32_t keep : {few, many}) {
      const CoarseOption& pool = Pool();
      funnel::Stage first = pool.stage;
      first.keep = keep;
      funnel::Stage stage = option.stage;
      Drop(keep);
      stage.keep = keep;
      MRL_ASSIGN_OR_RETURN(const std::vector<double> times,
                           StageCosts(PlanOf(pool.kind, pool.params,
                                             {first, stage, Final(std::min(options_.k, keep))})));
      micros.push_back(times[1]);
    }
    option.cost = Line(micros[0], micros[1], few, many);
    return absl::OkStatus();
  }

  void Advance() {
    ++done_;
    if (progress_) progress_(what_, done_, total_);
  }

  const Subject& subject_;
  const Schema& schema_;
  const ProbeOptions& options_;
  const ProgressFn& progress_;
  const absl::Span<const size_t> queries_;
  const uint32_t keep_max_;
  std::vector<size_t> first_pair_;                               // per query
  std::vector<absl::flat_hash_map<uint64_t, size_t>> followed_;  // per query: row to pair
  absl::string_view what_;
  uint64_t done_ = 0, total_ = 0;
  ChainInput input_;
};

}  // namespace

absl::StatusOr<ChainInput> Probe(const Subject& subject, absl::Span<const size_t> queries,
                                 const ProbeOptions& options, const ProgressFn& progress) {
  CHECK(subject.plan.schema != nullptr && !subject.plan.kinds.empty() && !queries.empty());
  return Prober(subject, queries, options, progress).Run();
}

}  // namespace mrl::tune
