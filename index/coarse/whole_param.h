// Named numbers of one query that count something.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "index/coarse/coarse.h"

namespace mrl::coarse {

// INVALID_ARGUMENT unless `value` is a whole number from 1 to `limit`; names kind and parameter.
absl::Status CheckWhole(absl::string_view kind, absl::string_view name, double value,
                        uint32_t limit);
// The parameter `name` of `params` (null = none), checked so; `otherwise` where it is not given.
absl::StatusOr<uint32_t> WholeParam(absl::string_view kind, const Params* params,
                                    const std::string& name, uint32_t otherwise, uint32_t limit);

}  // namespace mrl::coarse
