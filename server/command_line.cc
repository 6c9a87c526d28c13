#include "server/command_line.h"

#include <map>
#include <utility>

#include <CLI/CLI.hpp>
#include <yaml-cpp/yaml.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "index/coarse/gpu/device_set.h"
#include "server/version.h"

namespace mrl::server {
namespace {

using Shape = ConfigKey::Shape;

std::string KnownKeys() {
  return absl::StrJoin(ConfigKeys(), ", ", [](std::string* out, const ConfigKey& key) {
    absl::StrAppend(out, key.name);
  });
}

const ConfigKey* FindKey(absl::string_view name) {
  for (const ConfigKey& key : ConfigKeys()) {
    if (name == key.name) return &key;
  }
  return nullptr;
}

std::string VariableOf(absl::string_view key) {
  return absl::StrCat("MRL_", absl::AsciiStrToUpper(absl::StrReplaceAll(key, {{"-", "_"}})));
}

absl::StatusOr<std::vector<std::string>> TextsOf(const ConfigKey& key, const YAML::Node& node) {
  std::vector<std::string> texts;
  const bool many = key.shape == Shape::kIndexes;
  if (node.IsScalar()) {
    texts.push_back(node.as<std::string>());
  } else if (node.IsMap() && many) {
    for (const auto& entry : node) {
      texts.push_back(
          absl::StrCat(entry.first.as<std::string>(), "=", entry.second.as<std::string>()));
    }
  } else if (node.IsSequence() && many) {
    for (const auto& entry : node) texts.push_back(entry.as<std::string>());
  } else {
    return absl::InvalidArgumentError(absl::StrCat("key '", key.name, "' needs a single value"));
  }
  return texts;
}

absl::StatusOr<ConfigTexts> ReadYaml(const std::string& path) {
  // yaml-cpp reports by exceptions; they end here.
  try {
    const YAML::Node root = YAML::LoadFile(path);
    ConfigTexts values;
    if (root.IsNull()) return values;
    if (!root.IsMap()) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": a map of keys is needed"));
    }
    for (const auto& entry : root) {
      const auto name = entry.first.as<std::string>();
      const ConfigKey* key = FindKey(name);
      if (key == nullptr) {
        return absl::InvalidArgumentError(
            absl::StrCat(path, ": unknown key '", name, "'; known: ", KnownKeys()));
      }
      auto texts = TextsOf(*key, entry.second);
      if (!texts.ok()) return Annotate(texts.status(), path);
      if (values.count(name) > 0) {
        return absl::InvalidArgumentError(absl::StrCat(path, ": key '", name, "' comes twice"));
      }
      values[name] = {*std::move(texts), absl::StrCat("file ", path)};
    }
    return values;
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", error.what()));
  }
}

ConfigTexts ReadEnvironment(const Environment& environment) {
  ConfigTexts values;
  for (const ConfigKey& key : ConfigKeys()) {
    const std::string variable = VariableOf(key.name);
    const char* text = environment(variable);
    if (text == nullptr) continue;
    std::vector<std::string> texts = {text};
    if (key.shape == Shape::kIndexes) texts = absl::StrSplit(text, ',', absl::SkipWhitespace());
    values[key.name] = {std::move(texts), absl::StrCat("environment ", variable)};
  }
  return values;
}

struct Flags {
  std::map<std::string, std::vector<std::string>> texts;  // by key; empty = not given
  std::map<std::string, std::string> switches;            // by key; "" = not given
  std::string file;
  bool print_config = false, check_config = false, hash_key = false;
};

// Looks for devices only when it is asked for.
std::string VersionText() {
  const auto gpu = coarse::gpu::DeviceSet::Open({.mode = coarse::gpu::GpuMode::kAuto});
  return absl::StrCat("mrl-server ", kVersion, " (", kCommit, ")\ngpu: ",
                      gpu.ok() ? (*gpu)->report() : std::string(gpu.status().message()));
}

void Declare(CLI::App* app, Flags* flags) {
  app->footer("Flags win over MRL_* variables, those over the file, the file over defaults.");
  for (const ConfigKey& key : ConfigKeys()) {
    const std::string flag = absl::StrCat("--", key.name);
    if (key.shape == Shape::kSwitch) {
      app->add_flag(flag, flags->switches[key.name], key.help);
      continue;
    }
    auto* option = app->add_option(flag, flags->texts[key.name], key.help);
    if (key.shape != Shape::kIndexes) option->expected(1);
    option->allow_extra_args(false);
  }
  app->add_option("--config", flags->file, "YAML file with the same keys (variable MRL_CONFIG)");
  app->add_flag("--print-config", flags->print_config,
                "Print each value with its source, and stop");
  app->add_flag("--check-config", flags->check_config, "Check the configuration, and stop");
  app->add_flag("--hash-key", flags->hash_key,
                "Read a key from stdin, print its hash for the --api-keys file, and stop");
  app->set_version_flag("--version", VersionText, "Print the version and the devices, and stop");
}

absl::StatusOr<ConfigTexts> Merge(Flags flags, const Environment& environment) {
  if (const char* text = environment("MRL_CONFIG"); flags.file.empty() && text != nullptr) {
    flags.file = text;
  }
  ConfigTexts values;
  if (!flags.file.empty()) {
    MRL_ASSIGN_OR_RETURN(values, ReadYaml(flags.file));
  }
  for (auto& [key, value] : ReadEnvironment(environment)) values[key] = std::move(value);
  for (auto& [key, text] : flags.switches) {
    if (!text.empty()) flags.texts[key] = {text};
  }
  for (auto& [key, texts] : flags.texts) {
    if (!texts.empty()) values[key] = {std::move(texts), absl::StrCat("flag --", key)};
  }
  return values;
}

}  // namespace

absl::StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv,
                                             const Environment& environment) {
  CLI::App app("Serves collections of Matryoshka embeddings over gRPC.", "mrl-server");
  Flags flags;
  Declare(&app, &flags);
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
  if (flags.hash_key) {
    line.action = CommandLine::Action::kHashKey;
    return line;
  }
  if (flags.print_config) line.action = CommandLine::Action::kPrintConfig;
  if (flags.check_config) line.action = CommandLine::Action::kCheckConfig;
  MRL_ASSIGN_OR_RETURN(const ConfigTexts values, Merge(std::move(flags), environment));
  MRL_ASSIGN_OR_RETURN(line.config, MakeConfig(values));
  line.settings = DescribeConfig(line.config, values);
  return line;
}

}  // namespace mrl::server
