// Where the configuration comes from: flags over MRL_* environment over a YAML file over defaults.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/config.h"

namespace mrl::server {

// What the command line asks for.
struct CommandLine {
  enum class Action { kServe, kPrintConfig, kCheckConfig, kPrintText, kHashKey };
  Action action = Action::kServe;
  std::string text;  // kPrintText: the help or the version
  Config config;
  std::vector<Setting> settings;
};

// Looks up an environment variable; null when it is not set.
using Environment = std::function<const char*(const std::string& name)>;

// INVALID_ARGUMENT for what is wrong with flags, environment or file; unknown keys are named with
// the list of those that are known.
absl::StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv,
                                             const Environment& environment);

}  // namespace mrl::server
