// The server's configuration: flags over MRL_* environment over a YAML file over defaults.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/registry.h"

namespace mrl::server {

struct Config {
  std::vector<IndexPath> indexes;  // collections to serve; names are unique
  std::string data_dir;            // collections that take writes; empty = none
  uint32_t seal_rows = 0;          // unsealed rows that make a segment; 0 = 64 MB of vectors
  std::string bind = "127.0.0.1";
  int grpc_port = 7600;               // 0 = any free port
  int workers = 0;                    // 0 = one per core
  uint64_t queue_max = 1024;          // calls that may wait for a worker
  int64_t drain_timeout_ms = 10'000;  // running calls are cancelled after it
  uint64_t memory_limit_bytes = 0;    // 0 = 80 % of the cgroup's or the machine's memory
  std::string log_level = "info";     // debug, info, warn, error

  // INVALID_ARGUMENT names the key, the value and the limit.
  absl::Status Validate() const;
};

// One configured value and where it came from.
struct Setting {
  std::string key;
  std::string value;
  std::string source;  // "flag --bind", "environment MRL_BIND", "file x.yaml", "default"
};

// What the command line asks for.
struct CommandLine {
  enum class Action { kServe, kPrintConfig, kCheckConfig, kPrintText };
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
