#include "server/config.h"

#include <set>
#include <utility>
#include <variant>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "index/store/segment.h"
#include "server/gpu_options.h"
#include "server/http/address.h"
#include "server/trace/exporter.h"

namespace mrl::server {
namespace {

using Shape = ConfigKey::Shape;

// Where the value of a key lies, and what it may be.
struct Text {
  std::string Config::*field;
  std::vector<const char*> choices;  // none = any text
};
struct Number {
  int64_t Config::*field;
  int64_t min, max;
};
struct Switch {
  bool Config::*field;
};
struct Indexes {};

struct Entry {
  const char* name;
  const char* help;
  std::variant<Text, Number, Switch, Indexes> value;
  bool secret = false;
  bool reloads = false;
};

constexpr int64_t kHourMs = 3'600'000;
constexpr int64_t kBytesMax = int64_t{1} << 62;

// What is served, where, and to whom.
std::vector<Entry> ServedEntries() {
  return {
      {"index", "NAME=DIR: serve the collection in DIR as NAME; may be repeated", Indexes{},
       /*secret=*/false, /*reloads=*/true},
      {"data-dir", "Folder of the collections that take writes; made if missing (default none)",
       Text{&Config::data_dir, {}}},
      {"seal-rows", "Written rows that make a segment; 0 = 64 MB of vectors (default 0)",
       Number{&Config::seal_rows, 0, store::Segment::kRowsMax}},
      {"open-collections",
       "Collections of --data-dir that are kept open; others are opened when they are used "
       "(default 100)",
       Number{&Config::open_collections, 1, 1'000'000}},
      {"bind", "Address to listen on (default 127.0.0.1)", Text{&Config::bind, {}}},
      {"http-bind", "Address of the HTTP port, which has neither TLS nor keys (default: as --bind)",
       Text{&Config::http_bind, {}}},
      {"grpc-port", "Port for gRPC; 0 = any free port (default 7600)",
       Number{&Config::grpc_port, 0, 65535}},
      {"http-port", "Port for /metrics, /livez, /readyz; 0 = any free port (default 7601)",
       Number{&Config::http_port, 0, 65535}},
      {"insecure-bind", "Listen on an address that other machines reach with neither TLS nor keys",
       Switch{&Config::insecure_bind}},
      {"tls-cert", "PEM file with the server's certificate and its chain",
       Text{&Config::tls_cert, {}}},
      {"tls-key", "PEM file with the key of --tls-cert", Text{&Config::tls_key, {}}},
      {"tls-client-ca", "PEM file with the roots that clients' certificates must come from",
       Text{&Config::tls_client_ca, {}}},
      {"api-keys", "YAML file with the hashes of the keys that may call, see --hash-key",
       Text{&Config::api_keys, {}}},
      {"quotas",
       "YAML file with what each collection may take: rate, calls at a time, rows, memory",
       Text{&Config::quotas, {}}, /*secret=*/false, /*reloads=*/true},
      {"reflection", "gRPC reflection: on, off, or auto = on where no keys are needed (auto)",
       Text{&Config::reflection, {"on", "off", "auto"}}},
  };
}

// Threads, limits, devices, and what is told about it all.
std::vector<Entry> RunningEntries() {
  return {
      {"workers", "Threads that run searches; 0 = one per core (default 0)",
       Number{&Config::workers, 0, 1024}},
      {"queue-max", "Calls that may wait for a worker (default 1024)",
       Number{&Config::queue_max, 1, 1'000'000}},
      {"streams-max", "Calls at a time on one connection (default 256)",
       Number{&Config::streams_max, 1, 100'000}},
      {"grpc-memory-bytes", "Memory for requests and replies on their way (default 512 MiB)",
       Number{&Config::grpc_memory_bytes, int64_t{1} << 24, kBytesMax}},
      {"read-stall-timeout-ms",
       "Cancel a stream whose reader takes nothing for this long, in ms (default 30000)",
       Number{&Config::read_stall_ms, 1, kHourMs}},
      {"warm-up-queries",
       "Searches of each collection before it is served first or anew; 0 = none (default 16)",
       Number{&Config::warm_up_queries, 0, 10'000}},
      {"drain-delay-ms",
       "Time between NOT_SERVING and the closing of the port after SIGTERM, in ms (default 0)",
       Number{&Config::drain_delay_ms, 0, kHourMs}},
      {"drain-timeout-ms", "Time for running calls after SIGTERM, in ms (default 10000)",
       Number{&Config::drain_timeout_ms, 0, kHourMs}},
      {"memory-limit-bytes", "Memory for collections; 0 = 80 % of what there is (default 0)",
       Number{&Config::memory_limit_bytes, 0, kBytesMax}},
      {"hot-dims",
       "Hold vectors in memory up to so many dimensions, read the rest of them from disk; 0 = hold "
       "all (default 0)",
       Number{&Config::hot_dims, 0, Schema::kDimMax}},
      {"disk-reserve-bytes",
       "Refuse to write points while the data folder's disk has less left; 0 = no limit (default "
       "268435456)",
       Number{&Config::disk_reserve_bytes, 0, kBytesMax}},
      {"gpu",
       "GPU kinds of search: off, auto = by devices where there are any, require (default off)",
       Text{&Config::gpu, {"off", "auto", "require"}}},
      {"gpu-devices", "Numbers of the CUDA devices to use, comma between (default all)",
       Text{&Config::gpu_devices, {}}},
      {"gpu-memory-bytes", "Memory to take of each device; 0 = 90 % of what is free (default 0)",
       Number{&Config::gpu_memory_bytes, 0, kBytesMax}},
      {"gpu-float16", "Keep vectors of FAISS's GPU indexes in half precision",
       Switch{&Config::gpu_float16}},
      {"gpu-replicas",
       "Devices that get a copy of each segment; 1 = segments are spread (default 1)",
       Number{&Config::gpu_replicas, 1, 64}},
      {"log-level", "debug, info, warn or error (default info)",
       Text{&Config::log_level, {"debug", "info", "warn", "error"}}, /*secret=*/false,
       /*reloads=*/true},
      {"log-format", "text or json (default text)", Text{&Config::log_format, {"text", "json"}}},
      {"slow-query-ms", "Log calls that take longer, with their stages; 0 = none (default 1000)",
       Number{&Config::slow_query_ms, 0, kHourMs}},
      {"otlp-endpoint", "http://HOST:PORT of an OpenTelemetry collector (default: no traces)",
       Text{&Config::otlp_endpoint, {}}},
      {"otlp-headers", "NAME=VALUE,...: headers for the collector", Text{&Config::otlp_headers, {}},
       /*secret=*/true},
      {"trace-per-million",
       "Calls in a million that are traced although their caller does not say (default 10000)",
       Number{&Config::trace_per_million, 0, 1'000'000}},
  };
}

const std::vector<Entry>& Table() {
  static const auto& table = *new std::vector<Entry>([] {
    std::vector<Entry> entries = ServedEntries();
    const std::vector<Entry> running = RunningEntries();
    entries.insert(entries.end(), running.begin(), running.end());
    return entries;
  }());
  return table;
}

Shape ShapeOf(const Entry& entry) {
  if (std::holds_alternative<Number>(entry.value)) return Shape::kNumber;
  if (std::holds_alternative<Switch>(entry.value)) return Shape::kSwitch;
  if (std::holds_alternative<Indexes>(entry.value)) return Shape::kIndexes;
  return Shape::kText;
}

absl::Status WrongText(const Entry& entry, const std::string& text, const std::string& source,
                       absl::string_view needed) {
  const std::string shown = entry.secret ? "***" : text;
  return absl::InvalidArgumentError(
      absl::StrCat(entry.name, " is '", shown, "' (", source, "); ", needed));
}

absl::Status SetIndexes(const Entry& entry, const ConfigText& given, Config* config) {
  for (const std::string& text : given.texts) {
    const size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == text.size()) {
      return WrongText(entry, text, given.source, "NAME=DIR is needed");
    }
    config->indexes.push_back({text.substr(0, equals), text.substr(equals + 1)});
  }
  return absl::OkStatus();
}

absl::Status Set(const Entry& entry, const ConfigText& given, Config* config) {
  if (std::holds_alternative<Indexes>(entry.value)) return SetIndexes(entry, given, config);
  const std::string& text = given.texts.back();
  if (const auto* number = std::get_if<Number>(&entry.value)) {
    if (!absl::SimpleAtoi(text, &(config->*number->field))) {
      return WrongText(entry, text, given.source, "a whole number is needed");
    }
  } else if (const auto* one = std::get_if<Switch>(&entry.value)) {
    if (!absl::SimpleAtob(text, &(config->*one->field))) {
      return WrongText(entry, text, given.source, "true or false is needed");
    }
  } else {
    config->*std::get<Text>(entry.value).field = text;
  }
  return absl::OkStatus();
}

absl::Status Check(const Entry& entry, const Config& config) {
  if (const auto* number = std::get_if<Number>(&entry.value)) {
    const int64_t value = config.*number->field;
    if (value >= number->min && value <= number->max) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(entry.name, " is ", value, "; ", number->min,
                                                   " to ", number->max, " are accepted"));
  }
  if (const auto* text = std::get_if<Text>(&entry.value)) {
    const std::string& value = config.*text->field;
    for (const char* choice : text->choices) {
      if (value == choice) return absl::OkStatus();
    }
    if (text->choices.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(entry.name, " is '", value, "'; one of ",
                                                   absl::StrJoin(text->choices, ", "),
                                                   " is needed"));
  }
  return absl::OkStatus();
}

absl::Status CheckExposure(const Config& config) {
  if (config.tls_cert.empty() != config.tls_key.empty()) {
    return absl::InvalidArgumentError("tls-cert and tls-key are needed together; one is missing");
  }
  if (!config.tls_client_ca.empty() && config.tls_cert.empty()) {
    return absl::InvalidArgumentError("tls-client-ca needs tls-cert and tls-key");
  }
  if (!config.otlp_endpoint.empty()) {
    MRL_RETURN_IF_ERROR(Exporter::Validate({config.otlp_endpoint, config.otlp_headers}));
  }
  const bool guarded = !config.tls_cert.empty() || !config.api_keys.empty();
  if (guarded || config.insecure_bind) return absl::OkStatus();
  const std::pair<const char*, std::string> addresses[] = {{"bind", config.bind},
                                                           {"http-bind", config.HttpBind()}};
  for (const auto& [key, address] : addresses) {
    if (IsLoopback(address)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(key, " is ", address, ", which other machines reach, and neither tls-cert ",
                     "nor api-keys is set; set one of them, or insecure-bind"));
  }
  return absl::OkStatus();
}

std::string Shown(const Entry& entry, const Config& config) {
  if (const auto* number = std::get_if<Number>(&entry.value)) {
    return absl::StrCat(config.*number->field);
  }
  if (const auto* one = std::get_if<Switch>(&entry.value)) {
    return config.*one->field ? "true" : "false";
  }
  if (const auto* text = std::get_if<Text>(&entry.value)) {
    const std::string& value = config.*text->field;
    return entry.secret && !value.empty() ? "***" : value;
  }
  return absl::StrJoin(config.indexes, ",", [](std::string* out, const IndexPath& path) {
    absl::StrAppend(out, path.name, "=", path.directory);
  });
}

}  // namespace

absl::Span<const ConfigKey> ConfigKeys() {
  static const auto& keys = *[] {
    auto* made = new std::vector<ConfigKey>;
    for (const Entry& entry : Table()) {
      made->push_back({entry.name, entry.help, ShapeOf(entry), entry.reloads});
    }
    return made;
  }();
  return keys;
}

absl::Status Config::Validate() const {
  std::set<std::string> names;
  for (const IndexPath& path : indexes) {
    if (path.name.size() > 128) {
      return absl::InvalidArgumentError(
          absl::StrCat("index is ", path.name, "; a name has 128 bytes at most"));
    }
    if (!names.insert(path.name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("index is ", path.name, "; it is named twice"));
    }
  }
  for (const Entry& entry : Table()) MRL_RETURN_IF_ERROR(Check(entry, *this));
  MRL_RETURN_IF_ERROR(GpuOptionsOf(*this).status());
  return CheckExposure(*this);
}

absl::StatusOr<Config> MakeConfig(const ConfigTexts& texts) {
  Config config;
  for (const Entry& entry : Table()) {
    const auto found = texts.find(entry.name);
    if (found != texts.end()) MRL_RETURN_IF_ERROR(Set(entry, found->second, &config));
  }
  MRL_RETURN_IF_ERROR(config.Validate());
  return config;
}

std::vector<Setting> DescribeConfig(const Config& given, const ConfigTexts& texts) {
  Config config = given;
  config.http_bind = given.HttpBind();
  std::vector<Setting> settings;
  for (const Entry& entry : Table()) {
    const auto found = texts.find(entry.name);
    settings.push_back({entry.name, Shown(entry, config),
                        found == texts.end() ? "default" : found->second.source});
  }
  return settings;
}

std::vector<Setting> AfterReload(std::vector<Setting> now, const std::vector<Setting>& fresh) {
  if (now.size() != fresh.size()) return now;  // there is one for each key, or none at all
  for (size_t i = 0; i < now.size(); ++i) {
    if (ConfigKeys()[i].reloads) now[i] = fresh[i];
  }
  return now;
}

}  // namespace mrl::server
