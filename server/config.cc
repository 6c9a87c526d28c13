#include "server/config.h"

#include <map>
#include <set>
#include <utility>

#include <CLI/CLI.hpp>
#include <yaml-cpp/yaml.h>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "server/version.h"

namespace mrl::server {
namespace {

// Every key: the flag is --KEY, the variable MRL_KEY in capitals with underscores.
struct Key {
  const char* name;
  const char* help;
};
constexpr Key kKeys[] = {
    {"index", "NAME=DIR: serve the collection in DIR as NAME; may be repeated"},
    {"data-dir", "Folder of the collections that take writes; made if missing (default none)"},
    {"seal-rows", "Written rows that make a segment; 0 = 64 MB of vectors (default 0)"},
    {"bind", "Address to listen on (default 127.0.0.1)"},
    {"grpc-port", "Port for gRPC; 0 = any free port (default 7600)"},
    {"workers", "Threads that run searches; 0 = one per core (default 0)"},
    {"queue-max", "Calls that may wait for a worker (default 1024)"},
    {"drain-timeout-ms", "Time for running calls after SIGTERM, in ms (default 10000)"},
    {"memory-limit-bytes", "Memory for collections; 0 = 80 % of what there is (default 0)"},
    {"log-level", "debug, info, warn or error (default info)"},
};

std::string KnownKeys() {
  return absl::StrJoin(kKeys, ", ",
                       [](std::string* out, const Key& key) { absl::StrAppend(out, key.name); });
}

bool IsKnown(absl::string_view name) {
  for (const Key& key : kKeys) {
    if (name == key.name) return true;
  }
  return false;
}

std::string VariableOf(absl::string_view key) {
  return absl::StrCat("MRL_", absl::AsciiStrToUpper(absl::StrReplaceAll(key, {{"-", "_"}})));
}

struct Value {
  std::vector<std::string> texts;
  std::string source;
};
using Values = std::map<std::string, Value>;  // by key

absl::StatusOr<std::vector<std::string>> TextsOf(const std::string& key, const YAML::Node& node) {
  std::vector<std::string> texts;
  if (node.IsScalar()) {
    texts.push_back(node.as<std::string>());
  } else if (node.IsMap() && key == "index") {
    for (const auto& entry : node) {
      texts.push_back(
          absl::StrCat(entry.first.as<std::string>(), "=", entry.second.as<std::string>()));
    }
  } else if (node.IsSequence() && key == "index") {
    for (const auto& entry : node) texts.push_back(entry.as<std::string>());
  } else {
    return absl::InvalidArgumentError(absl::StrCat("key '", key, "' needs a single value"));
  }
  return texts;
}

absl::StatusOr<Values> ReadYaml(const std::string& path) {
  // yaml-cpp reports by exceptions; they end here.
  try {
    const YAML::Node root = YAML::LoadFile(path);
    Values values;
    if (root.IsNull()) return values;
    if (!root.IsMap()) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": a map of keys is needed"));
    }
    for (const auto& entry : root) {
      const auto key = entry.first.as<std::string>();
      if (!IsKnown(key)) {
        return absl::InvalidArgumentError(
            absl::StrCat(path, ": unknown key '", key, "'; known: ", KnownKeys()));
      }
      auto texts = TextsOf(key, entry.second);
      if (!texts.ok()) return Annotate(texts.status(), path);
      if (values.count(key) > 0) {
        return absl::InvalidArgumentError(absl::StrCat(path, ": key '", key, "' comes twice"));
      }
      values[key] = {*std::move(texts), absl::StrCat("file ", path)};
    }
    return values;
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", error.what()));
  }
}

Values ReadEnvironment(const Environment& environment) {
  Values values;
  for (const Key& key : kKeys) {
    const std::string variable = VariableOf(key.name);
    const char* text = environment(variable);
    if (text == nullptr) continue;
    std::vector<std::string> texts = {text};
    if (absl::string_view(key.name) == "index") {
      texts = absl::StrSplit(text, ',', absl::SkipWhitespace());
    }
    values[key.name] = {std::move(texts), absl::StrCat("environment ", variable)};
  }
  return values;
}

template <typename Number>
absl::Status SetNumber(const Values& values, const std::string& key, Number* out) {
  const auto found = values.find(key);
  if (found == values.end()) return absl::OkStatus();
  const std::string& text = found->second.texts.front();
  if (!absl::SimpleAtoi(text, out)) {
    return absl::InvalidArgumentError(absl::StrCat(key, " is '", text, "' (", found->second.source,
                                                   "); a whole number is needed"));
  }
  return absl::OkStatus();
}

void SetText(const Values& values, const std::string& key, std::string* out) {
  if (const auto found = values.find(key); found != values.end()) {
    *out = found->second.texts.front();
  }
}

absl::StatusOr<Config> MakeConfig(const Values& values) {
  Config config;
  if (const auto found = values.find("index"); found != values.end()) {
    for (const std::string& text : found->second.texts) {
      const size_t equals = text.find('=');
      if (equals == 0 || equals == std::string::npos || equals + 1 == text.size()) {
        return absl::InvalidArgumentError(
            absl::StrCat("index is '", text, "' (", found->second.source, "); NAME=DIR is needed"));
      }
      config.indexes.push_back({text.substr(0, equals), text.substr(equals + 1)});
    }
  }
  SetText(values, "data-dir", &config.data_dir);
  SetText(values, "bind", &config.bind);
  SetText(values, "log-level", &config.log_level);
  MRL_RETURN_IF_ERROR(SetNumber(values, "grpc-port", &config.grpc_port));
  MRL_RETURN_IF_ERROR(SetNumber(values, "seal-rows", &config.seal_rows));
  MRL_RETURN_IF_ERROR(SetNumber(values, "workers", &config.workers));
  MRL_RETURN_IF_ERROR(SetNumber(values, "queue-max", &config.queue_max));
  MRL_RETURN_IF_ERROR(SetNumber(values, "drain-timeout-ms", &config.drain_timeout_ms));
  MRL_RETURN_IF_ERROR(SetNumber(values, "memory-limit-bytes", &config.memory_limit_bytes));
  MRL_RETURN_IF_ERROR(config.Validate());
  return config;
}

std::vector<Setting> Settings(const Config& config, const Values& values) {
  const auto index_text = [](std::string* out, const IndexPath& path) {
    absl::StrAppend(out, path.name, "=", path.directory);
  };
  const std::map<std::string, std::string> texts = {
      {"index", absl::StrJoin(config.indexes, ",", index_text)},
      {"data-dir", config.data_dir},
      {"seal-rows", absl::StrCat(config.seal_rows)},
      {"bind", config.bind},
      {"grpc-port", absl::StrCat(config.grpc_port)},
      {"workers", absl::StrCat(config.workers)},
      {"queue-max", absl::StrCat(config.queue_max)},
      {"drain-timeout-ms", absl::StrCat(config.drain_timeout_ms)},
      {"memory-limit-bytes", absl::StrCat(config.memory_limit_bytes)},
      {"log-level", config.log_level},
  };
  std::vector<Setting> settings;
  for (const Key& key : kKeys) {
    const auto found = values.find(key.name);
    settings.push_back(
        {key.name, texts.at(key.name), found == values.end() ? "default" : found->second.source});
  }
  return settings;
}

}  // namespace

absl::Status Config::Validate() const {
  const auto refuse = [](absl::string_view key, auto value, absl::string_view needed) {
    return absl::InvalidArgumentError(absl::StrCat(key, " is ", value, "; ", needed));
  };
  std::set<std::string> names;
  for (const IndexPath& path : indexes) {
    if (path.name.size() > 128) return refuse("index", path.name, "a name has 128 bytes at most");
    if (!names.insert(path.name).second) return refuse("index", path.name, "it is named twice");
  }
  if (grpc_port < 0 || grpc_port > 65535) return refuse("grpc-port", grpc_port, "0 to 65535 fit");
  if (workers < 0 || workers > 1024) return refuse("workers", workers, "0 to 1024 are accepted");
  if (seal_rows > 4'000'000) return refuse("seal-rows", seal_rows, "0 to 4000000 are accepted");
  if (queue_max < 1 || queue_max > 1'000'000) {
    return refuse("queue-max", queue_max, "1 to 1000000 are accepted");
  }
  if (drain_timeout_ms < 0 || drain_timeout_ms > 3'600'000) {
    return refuse("drain-timeout-ms", drain_timeout_ms, "0 to 3600000 are accepted");
  }
  static const std::set<std::string> kLevels = {"debug", "info", "warn", "error"};
  if (kLevels.count(log_level) == 0) {
    return refuse("log-level", absl::StrCat("'", log_level, "'"),
                  "one of debug, info, warn, error is needed");
  }
  return absl::OkStatus();
}

absl::StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv,
                                             const Environment& environment) {
  CLI::App app("Serves collections of Matryoshka embeddings over gRPC.", "mrl-server");
  app.footer("Flags win over MRL_* variables, those over the file, the file over defaults.");
  std::map<std::string, std::vector<std::string>> flags;
  for (const Key& key : kKeys) {
    auto* option = app.add_option(absl::StrCat("--", key.name), flags[key.name], key.help);
    if (absl::string_view(key.name) != "index") option->expected(1);
    option->allow_extra_args(false);
  }
  std::string file;
  bool print_config = false, check_config = false;
  app.add_option("--config", file, "YAML file with the same keys (variable MRL_CONFIG)");
  app.add_flag("--print-config", print_config, "Print each value with its source, and stop");
  app.add_flag("--check-config", check_config, "Check the configuration, and stop");
  app.set_version_flag("--version", absl::StrCat("mrl-server ", kVersion, " (", kCommit, ")"));
  CommandLine line;
  // CLI11 reports by exceptions, help and version too; they end here.
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    line.action = CommandLine::Action::kPrintText;
    line.text = app.help();
    return line;
  } catch (const CLI::CallForVersion& version) {
    line.action = CommandLine::Action::kPrintText;
    line.text = absl::StrCat(version.what(), "\n");
    return line;
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(error.what(), "; known keys: ", KnownKeys(), " (see --help)"));
  }

  if (const char* text = environment("MRL_CONFIG"); file.empty() && text != nullptr) file = text;
  Values values;
  if (!file.empty()) {
    MRL_ASSIGN_OR_RETURN(values, ReadYaml(file));
  }
  for (auto& [key, value] : ReadEnvironment(environment)) values[key] = std::move(value);
  for (auto& [key, texts] : flags) {
    if (!texts.empty()) values[key] = {std::move(texts), absl::StrCat("flag --", key)};
  }
  MRL_ASSIGN_OR_RETURN(line.config, MakeConfig(values));
  line.settings = Settings(line.config, values);
  if (print_config) line.action = CommandLine::Action::kPrintConfig;
  if (check_config) line.action = CommandLine::Action::kCheckConfig;
  return line;
}

}  // namespace mrl::server
