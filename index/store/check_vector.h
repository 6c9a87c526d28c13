// What is wrong with a vector, for people.
#pragma once

#include <string>

#include "index/schema/schema.h"
#include "index/store/segment.h"

namespace mrl::store {

// ToString(problem) with what was found: "a value is NaN or infinite: nan at dimension 3".
std::string Describe(VectorProblem problem, const Schema& schema, const float* vector);

}  // namespace mrl::store
