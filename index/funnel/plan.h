// The funnel planner: pure values in, a validated plan out. No I/O, no clock.
//
// Source of the method: funnel retrieval, "Matryoshka Representation Learning" (NeurIPS 2022),
// section 4.3.1; adaptive retrieval is a funnel with one re-rank stage.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "index/coarse/coarse.h"
#include "index/schema/schema.h"

namespace mrl::funnel {

struct Stage {
  uint32_t dims = 0;
  uint32_t bits = 0;  // 0 = stored precision
  uint32_t keep = 0;  // 0 = k (last stage only)
  bool operator==(const Stage&) const = default;
};

// funnel = [ kind [ "(" name "=" value {"," …} ")" ] "/" ] stage {"," stage};
// stage = dims [ "b" bits ] [ ":" keep ]. Example: faiss(nprobe=8)/64:400,512:10
struct Funnel {
  std::string kind;  // "" = the active index
  coarse::Params params;
  std::vector<Stage> stages;
  bool operator==(const Funnel&) const = default;
};
absl::StatusOr<Funnel> ParseFunnel(absl::string_view text);
std::string FormatFunnel(const Funnel& funnel);

struct Limits {
  static constexpr uint32_t kKMax = 10'000;
  static constexpr uint32_t kKeepMax = 1'000'000;
  static constexpr size_t kStagesMax = 16;
};

// What a plan is made from. `kinds` are the coarse kinds built for the collection, active one
// first.
struct PlanInput {
  const Schema* schema = nullptr;
  std::vector<std::string> kinds;
  uint32_t default_dims = 0;  // dims of the active index when it has only one prefix, else 0
  // The code that a kind beside scan holds: ivf_scan in its lists, graph at its rows.
  std::map<std::string, Code> kind_codes = {};
  uint32_t k = 10;
  uint32_t query_dims = 0;       // length of the query: dim, or a ladder step (transform none)
  bool exact = false;            // all rows at query_dims; no stages may be given
  std::optional<Funnel> funnel;  // nothing = the built-in rule
};

// Ready to run: kind resolved, every keep filled in, the last keep = k at least.
struct Plan {
  bool exact = false;
  std::string kind;
  coarse::Params params;
  std::vector<Stage> stages;
  uint32_t k = 0;
  // Adaptive keep. Per stage but the last: of the candidates within its keep, those go on that are
  // at most so far behind the stage's k-th best, in units of SlackUnit (cut.h). Infinite, and what
  // is missing here: all of them. No part of the text form.
  std::vector<float> slacks = {};
  std::string ToText() const;  // the funnel's text form, or "exact"
  bool operator==(const Plan&) const = default;
};

// INVALID_ARGUMENT names the offending number and its limit: k = 0 or above kKMax, keep that grows
// or is below k, dims x bits that do not grow, dims off the ladder or beyond the query, codes that
// are not stored (with the list of those that are), unknown kinds, too many stages.
absl::StatusOr<Plan> MakePlan(const PlanInput& input);

}  // namespace mrl::funnel
