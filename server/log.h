// The log on stderr: one line an event, as text or as JSON.
#pragma once

#include <spdlog/spdlog.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace mrl::server {

// `format` is text or json, `level` debug, info, warn, error or critical. Lines written with
// spdlog's own functions, and gRPC's, come out in the same form. Other threads may write lines
// meanwhile.
void SetUpLog(const std::string& format, const std::string& level);

// Names are literals of a-z and _. Values may hold anything.
using LogFields = std::vector<std::pair<const char*, std::string>>;
// `message name=value …` as text; members of the object as JSON.
void Log(spdlog::level::level_enum level, absl::string_view message, const LogFields& fields);

// For tests: a line as it would be written, without its end.
std::string FormatLogLine(const std::string& format, spdlog::level::level_enum level,
                          absl::string_view message, const LogFields& fields);

}  // namespace mrl::server
