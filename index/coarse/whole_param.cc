#include "index/coarse/whole_param.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace mrl::coarse {

absl::Status CheckWhole(absl::string_view kind, absl::string_view name, double value,
                        uint32_t limit) {
  if (value >= 1 && value <= limit && value == std::floor(value)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(kind, ": ", name, " is ", value, ", it is a whole number from 1 to ", limit));
}

absl::StatusOr<uint32_t> WholeParam(absl::string_view kind, const Params* params,
                                    const std::string& name, uint32_t otherwise, uint32_t limit) {
  if (params == nullptr) return otherwise;
  const auto given = params->find(name);
  if (given == params->end()) return otherwise;
  MRL_RETURN_IF_ERROR(CheckWhole(kind, name, given->second, limit));
  return static_cast<uint32_t>(given->second);
}

}  // namespace mrl::coarse
