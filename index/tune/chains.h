// Which funnels can reach a recall, and which of them are cheapest, without running any: from the
// ranks that true neighbours have in each stage's own order, and from what a row costs at a stage.
//
// A neighbour is counted as surviving a chain when its rank in each stage's order of all rows is
// below that stage's keep. A stage ranks fewer rows than all, so that this never counts too many;
// the tuner runs what it finds here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "index/funnel/plan.h"
#include "index/schema/schema.h"

namespace mrl::tune {

// Rank of a neighbour that a stage's list did not hold.
inline constexpr uint32_t kNotRanked = ~uint32_t{0};

// A neighbour of a query is a pair; every table below has an entry per pair, in the same order.
using Ranks = std::vector<uint32_t>;

// micros = fixed + per_row x rows.
struct LinearCost {
  double fixed_us = 0, per_row_us = 0;
  double At(double rows) const { return fixed_us + per_row_us * rows; }
};

// Time of a coarse search that keeps so many rows; linear between points.
struct KeepCost {
  uint32_t keep = 0;
  double micros = 0;
};

// A way to search the first stage.
struct CoarseOption {
  std::string kind;
  coarse::Params params;
  funnel::Stage stage;  // keep = the most it is asked for
  Ranks ranks;
  std::vector<KeepCost> costs;  // keep increasing, at least one
  double MicrosAt(uint32_t keep) const;
};

// A way to rank a shortlist again.
struct RerankOption {
  funnel::Stage stage;
  int level = -1;   // of a stage at stored precision; -1 for codes
  Ranks ranks;      // empty for the final stage, which loses nothing before k
  LinearCost cost;  // codes: of the stage. Stored precision: of this level alone
};

struct ChainInput {
  const Schema* schema = nullptr;
  std::vector<CoarseOption> coarse;
  std::vector<RerankOption> reranks;  // by growing dims x bits; the last is the final stage
  std::vector<LinearCost> levels;     // of one stored level each
  size_t pairs = 0;                   // at least 1
  uint32_t k = 10;
  uint64_t rows = 0;
  size_t middle_stages_max = 2;  // between the coarse and the final stage
  double slack = 1.2;            // chains up to so many times the cheapest are returned
};

struct Chain {
  size_t coarse = 0;            // index into ChainInput::coarse
  std::vector<size_t> reranks;  // indexes into ChainInput::reranks; the last is the final stage
  std::vector<uint32_t> keeps;  // of the coarse stage and every middle stage
  double micros = 0;            // predicted
  double survival = 0;          // predicted share of pairs that reach the final stage
};

// Bits read per row: what has to grow from stage to stage.
uint64_t BitsRead(const Schema& schema, const funnel::Stage& stage);

// Keeps from `k` to `keep_max`, growing by about a quarter; `k` alone when keep_max is not above.
std::vector<uint32_t> KeepGrid(uint32_t k, uint64_t keep_max);

// The cheapest chain of each sequence of stages whose predicted survival reaches `target`,
// cheapest first, within the slack, at most `count`. Empty when none reaches it.
std::vector<Chain> CheapestChains(const ChainInput& input, double target, size_t count);

// The funnel of a chain, with every keep written out.
funnel::Funnel ToFunnel(const ChainInput& input, const Chain& chain);

}  // namespace mrl::tune
