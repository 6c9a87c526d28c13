// A collection as text and as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "absl/status/statusor.h"
#include "client/cli/command.h"
#include "client/cpp/types.h"

namespace mrl::cli {

nlohmann::json ToJson(const client::Collection& collection);
// Prints it, or gives back the error.
absl::Status ShowCollection(const absl::StatusOr<client::Collection>& found,
                            const Globals& globals);

}  // namespace mrl::cli
