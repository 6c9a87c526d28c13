// Searches that may find some rows only.
#pragma once

#include <cstdint>

#include "index/filter/filter.h"
#include "index/funnel/plan.h"
#include "index/funnel/run.h"

namespace mrl::funnel {

// `view` with the rows that match `filter`; parts and locations stay the same.
View Narrow(const View& view, const filter::Filter& filter);

// How to find the best of `matching` rows among the `rows` of a collection with `plan`, without
// losing more of them than `plan` loses of all rows. Where few rows match, they are all scored at
// the plan's last prefix, from the stored precision. Otherwise the coarse search masks its scan,
// and shortlists grow by 1 + log10(rows / matching): fewer rows are harder to tell apart. A
// kind that is no scan follows links or lists that the mask may cut, so where less than half of the
// rows match, the scan takes its place. Pure.
Plan NarrowPlan(const Plan& plan, const Schema& schema, uint64_t matching, uint64_t rows);

}  // namespace mrl::funnel
