// Random payloads and filters for the model test, and which of them match: worked out from the JSON
// text alone, by no code of index/filter.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "index/filter/expression.h"
#include "index/schema/field.h"
#include "index/schema/point_id.h"

namespace mrl::test {

const std::vector<Field>& ModelFields();
// With some of the fields.
std::string RandomPayload(std::mt19937_64& random);
// `ids`: those that may be named.
filter::Expression RandomExpression(std::mt19937_64& random, const std::vector<PointId>& ids);
bool Matches(const filter::Expression& expression, const PointId& id, const std::string& payload);

}  // namespace mrl::test
