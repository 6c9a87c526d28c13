#include "index/funnel/filtered.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

namespace mrl::funnel {
namespace {

// Reading a row by itself costs about this much more a byte than reading it within a scan.
constexpr uint64_t kScatteredReadCost = 4;
constexpr uint64_t kScanBits = 8;  // a dimension, where the stage asks for stored precision

bool ScoresAll(const Plan& plan, const Schema& schema, uint64_t matching, uint64_t rows) {
  const Stage& first = plan.stages.front();
  if (matching <= first.keep) return true;
  const uint64_t row_bytes = uint64_t{plan.stages.back().dims} * ElementBytes(schema.storage);
  const uint64_t code_bits = uint64_t{first.dims} * (first.bits == 0 ? kScanBits : first.bits);
  return matching * row_bytes * kScatteredReadCost <= rows * code_bits / 8;
}

// The nearest rows of a part of the collection lie further off and closer together than those of
// all of it, so that estimates confuse more of them: shortlists grow by the logarithm of the share.
// What a funnel loses then is what it loses of all rows, or less (bench/README.md).
void Widen(uint64_t matching, uint64_t rows, Plan* plan) {
  const double factor = 1 + std::log10(static_cast<double>(rows) / static_cast<double>(matching));
  for (size_t i = 0; i + 1 < plan->stages.size(); ++i) {
    Stage& stage = plan->stages[i];
    const auto wider = static_cast<uint64_t>(std::ceil(factor * static_cast<double>(stage.keep)));
    stage.keep = static_cast<uint32_t>(std::max<uint64_t>(stage.keep, std::min(wider, matching)));
  }
}

}  // namespace

View Narrow(const View& view, const filter::Filter& filter) {
  View narrowed = view;
  for (View::Part& part : narrowed.parts) {
    std::vector<uint64_t> words = filter.Matching(*part.segment, part.fields.get()).TakeWords();
    if (const uint64_t* allowed = part.allowed_data()) {
      for (size_t i = 0; i < words.size(); ++i) words[i] &= allowed[i];
    }
    part.allowed = std::make_shared<const std::vector<uint64_t>>(std::move(words));
  }
  return narrowed;
}

Plan NarrowPlan(const Plan& plan, const Schema& schema, uint64_t matching, uint64_t rows) {
  if (plan.exact) return plan;
  Plan narrowed = plan;
  if (ScoresAll(plan, schema, matching, rows)) {
    narrowed.exact = true;
    narrowed.kind.clear();
    narrowed.params.clear();
    narrowed.stages = {{.dims = plan.stages.back().dims, .bits = 0, .keep = plan.k}};
    return narrowed;
  }
  Widen(matching, rows, &narrowed);
  if (plan.kind != "scan" && 2 * matching < rows) {
    narrowed.kind = "scan";
    narrowed.params.clear();
  }
  return narrowed;
}

}  // namespace mrl::funnel
