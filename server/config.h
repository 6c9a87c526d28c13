// The server's configuration as values, and the one table of its keys.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "server/registry.h"

namespace mrl::server {

struct Config {
  std::vector<IndexPath> indexes;  // collections to serve; names are unique
  std::string bind = "127.0.0.1";
  int64_t grpc_port = 7600;           // 0 = any free port
  int64_t http_port = 7601;           // 0 = any free port
  int64_t workers = 0;                // 0 = one per core
  int64_t queue_max = 1024;           // calls that may wait for a worker
  int64_t drain_timeout_ms = 10'000;  // running calls are cancelled after it
  int64_t memory_limit_bytes = 0;     // 0 = 80 % of the cgroup's or the machine's memory
  std::string log_level = "info";     // debug, info, warn, error

  // INVALID_ARGUMENT names the key, the value and the limit.
  absl::Status Validate() const;
};

// The flag is --NAME, the variable MRL_NAME in capitals with underscores, the YAML key NAME.
struct ConfigKey {
  enum class Shape { kText, kNumber, kSwitch, kIndexes };
  const char* name;
  const char* help;
  Shape shape;
};
// In the order of --help.
absl::Span<const ConfigKey> ConfigKeys();

// Texts of one key as they were given, and where: "flag --bind", "file x.yaml".
struct ConfigText {
  std::vector<std::string> texts;
  std::string source;
};
using ConfigTexts = std::map<std::string, ConfigText>;  // by key; keys are known

// Validated. INVALID_ARGUMENT names the key, the text, its source, and what is needed.
absl::StatusOr<Config> MakeConfig(const ConfigTexts& texts);

// One configured value and where it came from.
struct Setting {
  std::string key;
  std::string value;   // "***" for a secret that is set
  std::string source;  // as in ConfigText, or "default"
};
// One per key, in their order.
std::vector<Setting> DescribeConfig(const Config& config, const ConfigTexts& texts);

}  // namespace mrl::server
