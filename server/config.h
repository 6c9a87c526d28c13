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
  std::string data_dir;            // collections that take writes; empty = none
  int64_t seal_rows = 0;           // unsealed rows that make a segment; 0 = 64 MB of vectors
  int64_t open_collections = 100;  // of data_dir, that are kept open
  std::string bind = "127.0.0.1";
  std::string http_bind;       // of the HTTP port; empty = bind
  int64_t grpc_port = 7600;    // 0 = any free port
  int64_t http_port = 7601;    // 0 = any free port
  bool insecure_bind = false;  // listen beyond loopback with neither TLS nor keys
  std::string tls_cert;        // PEM files; a certificate and its key come together
  std::string tls_key;
  std::string tls_client_ca;                       // set = clients need a certificate
  std::string api_keys;                            // keys file; set = calls need a key
  std::string quotas;                              // file of quotas per collection; empty = none
  std::string reflection = "auto";                 // on, off, auto = on where calls need no key
  int64_t workers = 0;                             // 0 = one per core
  int64_t queue_max = 1024;                        // calls that may wait for a worker
  int64_t streams_max = 256;                       // calls at a time on one connection
  int64_t grpc_memory_bytes = int64_t{512} << 20;  // for requests and replies on their way
  int64_t read_stall_ms = 30'000;     // a stream whose reader takes nothing this long is cancelled
  int64_t warm_up_queries = 16;       // searches of each collection before it is served; 0 = none
  int64_t drain_delay_ms = 0;         // between NOT_SERVING and the closing of the port
  int64_t drain_timeout_ms = 10'000;  // running calls are cancelled after it
  std::string gpu = "off";            // off, auto = devices where there are any, require
  std::string gpu_devices;            // numbers of CUDA devices, comma between; empty = all
  int64_t gpu_memory_bytes = 0;       // of each device; 0 = nine tenths of what is free
  bool gpu_float16 = false;           // FAISS keeps flat vectors in half precision
  int64_t gpu_replicas = 1;           // devices that get a copy of each segment
  int64_t memory_limit_bytes = 0;     // 0 = 80 % of the cgroup's or the machine's memory
  int64_t hot_dims = 0;               // levels that end above stay on disk; 0 = none
  int64_t disk_reserve_bytes = int64_t{256} << 20;  // points are not written while less is left
  std::string log_level = "info";                   // debug, info, warn, error
  std::string log_format = "text";                  // text, json
  int64_t slow_query_ms = 1000;                     // calls that take longer are logged; 0 = none
  std::string otlp_endpoint;           // http://HOST:PORT of a collector; empty = no traces
  std::string otlp_headers;            // NAME=VALUE,…; a secret
  int64_t trace_per_million = 10'000;  // calls without a traceparent that are traced
  // No keys: tests shorten them.
  int grpc_connection_age_ms = 30 * 60 * 1000;   // of a connection, give or take a tenth
  int grpc_connection_idle_ms = 10 * 60 * 1000;  // of one without calls

  // The address that the HTTP port listens on.
  const std::string& HttpBind() const { return http_bind.empty() ? bind : http_bind; }

  // INVALID_ARGUMENT names the key, the value and the limit.
  absl::Status Validate() const;
};

// The flag is --NAME, the variable MRL_NAME in capitals with underscores, the YAML key NAME.
struct ConfigKey {
  enum class Shape { kText, kNumber, kSwitch, kIndexes };
  const char* name;
  const char* help;
  Shape shape;
  bool reloads;  // SIGHUP takes what it says then
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
// What is in force after SIGHUP: of the keys that reload what `fresh` says, of the others `now`.
std::vector<Setting> AfterReload(std::vector<Setting> now, const std::vector<Setting>& fresh);

}  // namespace mrl::server
