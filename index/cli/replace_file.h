// A file that a verb writes for its user.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace mrl::cli {

// Writes `bytes` beside `path` and renames them into its place, so that it is whole or as it was
// before. Not synced.
absl::Status ReplaceFile(const std::string& path, absl::string_view bytes);

}  // namespace mrl::cli
