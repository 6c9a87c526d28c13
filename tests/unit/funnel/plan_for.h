// The plan of a funnel in text.
#pragma once

#include <string>

#include "gtest/gtest.h"
#include "index/funnel/plan.h"
#include "index/funnel/run.h"

namespace mrl::test {

// `text`: a funnel, or "exact". The kind is that of the view's first index. `query_dims`: 0 = all.
// A refusal fails the test.
inline funnel::Plan PlanFor(const funnel::View& view, const std::string& text, uint32_t k,
                            uint32_t query_dims = 0) {
  funnel::PlanInput input;
  input.schema = &view.schema;
  input.kinds = {std::string(view.parts[0].indexes[0]->kind())};
  input.k = k;
  input.query_dims = query_dims == 0 ? view.schema.dim : query_dims;
  input.exact = text == "exact";
  if (!input.exact) {
    const auto parsed = funnel::ParseFunnel(text);
    EXPECT_TRUE(parsed.ok()) << parsed.status();
    if (!parsed.ok()) return {};
    input.funnel = *parsed;
  }
  const auto plan = funnel::MakePlan(input);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return plan.ok() ? *plan : funnel::Plan();
}

}  // namespace mrl::test
