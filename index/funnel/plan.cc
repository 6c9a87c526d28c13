#include "index/funnel/plan.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "base/status.h"

namespace mrl::funnel {
namespace {

// The built-in rule, until a collection has a measured profile: what reached recall 0.99 on real
// text embeddings (bench/README.md). Signs of 256 dimensions find a wide shortlist, signs of 512 a
// short one; without signs the step nearest to 256 is scanned. A graph is walked by all the signs
// that it holds.
constexpr uint32_t kCoarseDims = 256;
constexpr uint32_t kSignDims = 512;
constexpr uint32_t kWideKeepPerHit = 100;
constexpr uint32_t kWideKeepMin = 2000;
constexpr uint32_t kKeepPerHit = 20;
constexpr uint32_t kKeepMin = 400;
constexpr absl::string_view kGraph = "graph";
constexpr absl::string_view kScan = "scan";

template <typename... Parts>
absl::Status Refused(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

// The kinds that search the codes of the schema.
bool SearchesCodes(absl::string_view kind) { return kind == "scan" || kind == "gpu_scan"; }

uint32_t Distance(uint32_t a, uint32_t b) { return a > b ? a - b : b - a; }

// The ladder step nearest to `wanted` among those not above `dims_max`; the shorter of two.
uint32_t NearestStep(const Schema& schema, uint32_t wanted, uint32_t dims_max) {
  uint32_t best = schema.ladder.front();
  for (const uint32_t step : schema.ladder) {
    if (step <= dims_max && Distance(step, wanted) < Distance(best, wanted)) best = step;
  }
  return best;
}

absl::Status CheckQuestion(const PlanInput& input) {
  const Schema& schema = *input.schema;
  if (input.k == 0 || input.k > Limits::kKMax) {
    return Refused("k is ", input.k, ", it goes from 1 to ", Limits::kKMax);
  }
  if (schema.LevelOf(input.query_dims) < 0) {
    return Refused("the query has ", input.query_dims, " dims, the ladder is ",
                   FormatLadder(schema.ladder));
  }
  if (input.query_dims != schema.dim && schema.transform != Transform::kNone) {
    return Refused("the query has ", input.query_dims, " dims, under the transform ",
                   ToString(schema.transform), " it needs all ", schema.dim);
  }
  if (input.exact && input.funnel.has_value()) {
    return Refused("exact search takes no funnel: leave one of the two out");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ResolveKind(const PlanInput& input) {
  if (input.kinds.empty()) return Refused("the collection has no coarse index");
  if (!input.funnel.has_value() || input.funnel->kind.empty()) return input.kinds.front();
  const std::string& kind = input.funnel->kind;
  if (std::find(input.kinds.begin(), input.kinds.end(), kind) != input.kinds.end()) return kind;
  return Refused("the coarse kind `", kind,
                 "` is not built, these are: ", absl::StrJoin(input.kinds, ", "));
}

// The longest ladder step up to `dims_max` whose signs are stored; 0 without one.
uint32_t LongestSigns(const PlanInput& input, uint32_t dims_max) {
  uint32_t longest = 0;
  for (const uint32_t step : input.schema->ladder) {
    if (step <= std::min(dims_max, input.query_dims) && input.schema->HasCode(step, 1)) {
      longest = step;
    }
  }
  return longest;
}

// Empty where too few signs are stored to rely on.
std::vector<Stage> SignStages(const PlanInput& input, uint32_t coarse_dims_max) {
  const uint32_t wide = LongestSigns(input, std::min(kCoarseDims, coarse_dims_max));
  if (wide < kCoarseDims) return {};
  std::vector<Stage> stages = {
      {.dims = wide, .bits = 1, .keep = std::max(kWideKeepPerHit * input.k, kWideKeepMin)}};
  const uint32_t longer = LongestSigns(input, kSignDims);
  if (longer > wide) {
    stages.push_back(
        {.dims = longer, .bits = 1, .keep = std::max(kKeepPerHit * input.k, kKeepMin)});
  }
  stages.push_back({.dims = input.query_dims, .bits = 0, .keep = input.k});
  return stages;
}

// What `kind` holds beside the codes of scan; nothing for most.
Code HeldCode(const PlanInput& input, absl::string_view kind) {
  const auto held = input.kind_codes.find(std::string(kind));
  return held == input.kind_codes.end() ? Code{} : held->second;
}

// A walk costs what it meets, so that it takes the longest signs from the start.
std::vector<Stage> GraphStages(const PlanInput& input, const Code& held) {
  const uint32_t dims = LongestSigns(input, held.dims);
  if (dims == 0) return {};
  return {{.dims = dims, .bits = 1, .keep = std::max(kKeepPerHit * input.k, kKeepMin)},
          {.dims = input.query_dims, .bits = 0, .keep = input.k}};
}

std::vector<Stage> BuiltInStages(const PlanInput& input, absl::string_view kind,
                                 uint32_t index_dims) {
  const Code held = HeldCode(input, kind);
  if (SearchesCodes(kind) || held.bits == 1) {
    const uint32_t dims_max = SearchesCodes(kind) ? kCoarseDims : held.dims;
    std::vector<Stage> stages =
        kind == kGraph ? GraphStages(input, held) : SignStages(input, dims_max);
    if (!stages.empty()) return stages;
  }
  const uint32_t coarse =
      index_dims != 0 ? index_dims : NearestStep(*input.schema, kCoarseDims, input.query_dims);
  if (coarse >= input.query_dims) return {{.dims = coarse, .bits = 0, .keep = input.k}};
  return {{.dims = coarse, .bits = 0, .keep = std::max(kKeepPerHit * input.k, kKeepMin)},
          {.dims = input.query_dims, .bits = 0, .keep = input.k}};
}

// A stage by itself: what is on the ladder, in the query and stored.
absl::Status CheckStage(const PlanInput& input, size_t number, const Stage& stage) {
  const Schema& schema = *input.schema;
  if (schema.LevelOf(stage.dims) < 0) {
    return Refused("stage ", number, ": ", stage.dims, " dims are not on the ladder ",
                   FormatLadder(schema.ladder));
  }
  if (stage.dims > input.query_dims) {
    return Refused("stage ", number, ": ", stage.dims, " dims, the query has ", input.query_dims);
  }
  const bool has_scan =
      std::find(input.kinds.begin(), input.kinds.end(), "scan") != input.kinds.end();
  if (stage.bits != 0 && (!has_scan || !schema.HasCode(stage.dims, stage.bits))) {
    return Refused("stage ", number, ": the code ", stage.dims, "b", stage.bits,
                   " is not stored, these are: ", has_scan ? FormatCodes(schema.codes) : "none");
  }
  if (stage.keep > Limits::kKeepMax) {
    return Refused("stage ", number, ": keep is ", stage.keep, ", the limit is ", Limits::kKeepMax);
  }
  return absl::OkStatus();
}

// What the first stage asks of the coarse index.
absl::Status CheckCoarse(const Plan& plan, uint32_t index_dims, const Code& held) {
  const Stage& stage = plan.stages.front();
  // Other kinds take what their built index does, and check it.
  if (plan.kind == kScan && !plan.params.empty()) {
    return Refused("scan: unknown parameter `", plan.params.begin()->first, "`, scan takes none");
  }
  if (index_dims != 0 && stage.dims != index_dims) {
    return Refused("stage 1: ", stage.dims, " dims, the index `", plan.kind, "` searches ",
                   index_dims, " only");
  }
  if (stage.bits == 0 && plan.kind == kGraph) {
    return Refused("stage 1: ", stage.dims, " dims without bits, a graph is walked by its code ",
                   FormatCodes({held}), " or a shorter prefix of it");
  }
  if (stage.bits != 0 && held.bits != 0) {
    if (held.Serves({stage.dims, stage.bits})) return absl::OkStatus();
    return Refused("stage 1: ", FormatCodes({{stage.dims, stage.bits}}), ", ",
                   plan.kind == kGraph ? "the graph is walked by " : "the lists of ivf_scan hold ",
                   FormatCodes({held}));
  }
  if (stage.bits != 0 && !SearchesCodes(plan.kind)) {
    return Refused("stage 1: ", stage.dims, "b", stage.bits, " is a code of the kind scan, `",
                   plan.kind, "` takes dims without bits");
  }
  return absl::OkStatus();
}

uint64_t BitsOf(const Schema& schema, const Stage& stage) {
  const uint64_t bits = stage.bits != 0 ? stage.bits : 8 * ElementBytes(schema.storage);
  return stage.dims * bits;
}

// Two stages in a row: less is kept, and more is known of it.
absl::Status CheckStep(const Schema& schema, size_t number, const Stage& before,
                       const Stage& stage) {
  if (stage.keep > before.keep) {
    return Refused("stage ", number, ": keep grows to ", stage.keep, ", stage ", number - 1,
                   " keeps ", before.keep);
  }
  if (BitsOf(schema, stage) <= BitsOf(schema, before)) {
    return Refused("stage ", number, ": dims x bits is ", BitsOf(schema, stage),
                   ", it must be above the ", BitsOf(schema, before), " of stage ", number - 1);
  }
  return absl::OkStatus();
}

// Fills the last keep in and cuts it to k.
absl::Status FinishKeeps(uint32_t k, std::vector<Stage>& stages) {
  for (size_t i = 0; i + 1 < stages.size(); ++i) {
    if (stages[i].keep == 0) {
      return Refused("stage ", i + 1, ": keep is missing, only the last stage may leave it out");
    }
  }
  uint32_t& last = stages.back().keep;
  if (last == 0) last = k;
  if (last < k) {
    return Refused("stage ", stages.size(), ": keep is ", last, ", it must be k = ", k,
                   " at least");
  }
  return absl::OkStatus();
}

absl::Status CheckStages(const PlanInput& input, Plan& plan) {
  if (plan.stages.size() > Limits::kStagesMax) {
    return Refused("the funnel has ", plan.stages.size(), " stages, the limit is ",
                   Limits::kStagesMax);
  }
  MRL_RETURN_IF_ERROR(FinishKeeps(input.k, plan.stages));
  for (size_t i = 0; i < plan.stages.size(); ++i) {
    MRL_RETURN_IF_ERROR(CheckStage(input, i + 1, plan.stages[i]));
    if (i == 0) continue;
    MRL_RETURN_IF_ERROR(CheckStep(*input.schema, i + 1, plan.stages[i - 1], plan.stages[i]));
  }
  plan.stages.back().keep = input.k;
  return absl::OkStatus();
}

}  // namespace

std::string Plan::ToText() const {
  if (exact) return "exact";
  return FormatFunnel({.kind = kind, .params = params, .stages = stages});
}

absl::StatusOr<Plan> MakePlan(const PlanInput& input) {
  CHECK(input.schema != nullptr);
  MRL_RETURN_IF_ERROR(CheckQuestion(input));
  Plan plan;
  plan.k = input.k;
  if (input.exact) {
    plan.exact = true;
    plan.stages = {{.dims = input.query_dims, .bits = 0, .keep = input.k}};
    return plan;
  }
  MRL_ASSIGN_OR_RETURN(plan.kind, ResolveKind(input));
  const uint32_t index_dims = plan.kind == input.kinds.front() ? input.default_dims : 0;
  if (input.funnel.has_value()) {
    plan.params = input.funnel->params;
    plan.stages = input.funnel->stages;
  }
  if (plan.stages.empty()) plan.stages = BuiltInStages(input, plan.kind, index_dims);
  MRL_RETURN_IF_ERROR(CheckStages(input, plan));
  MRL_RETURN_IF_ERROR(CheckCoarse(plan, index_dims, HeldCode(input, plan.kind)));
  return plan;
}

}  // namespace mrl::funnel
