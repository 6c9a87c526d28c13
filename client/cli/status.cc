// mrl status: whether the server is healthy, what it is, and what it holds.
#include "base/status.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/output.h"

namespace mrl::cli {
namespace {

absl::Status StatusOf(bool healthy) {
  return healthy ? absl::OkStatus() : absl::UnavailableError("the server is not serving");
}

absl::Status RunHealth(client::Client& client, const Globals& globals) {
  MRL_ASSIGN_OR_RETURN(const bool healthy, client.CheckHealth());
  if (globals.json) {
    PrintJson({{"healthy", healthy}});
  } else {
    PrintTable({{"health", healthy ? "serving" : "not serving"}});
  }
  return StatusOf(healthy);
}

absl::Status Run(client::Client& client, const Globals& globals) {
  MRL_ASSIGN_OR_RETURN(const bool healthy, client.CheckHealth());
  MRL_ASSIGN_OR_RETURN(const client::ServerInfo info, client.GetServerInfo());
  if (globals.json) {
    PrintJson({{"healthy", healthy},
               {"version", info.version},
               {"commit", info.commit},
               {"instruction_set", info.instruction_set},
               {"workers", info.workers},
               {"memory_used_bytes", info.memory_used_bytes},
               {"memory_limit_bytes", info.memory_limit_bytes},
               {"limits", info.limits},
               {"gpu", info.gpu},
               {"gpu_memory_used_bytes", info.gpu_memory_used_bytes},
               {"gpu_memory_limit_bytes", info.gpu_memory_limit_bytes}});
  } else {
    PrintTable({{"health", healthy ? "serving" : "not serving"},
                {"version", absl::StrCat(info.version, " (", info.commit, ")")},
                {"instruction set", info.instruction_set},
                {"workers", absl::StrCat(info.workers)},
                {"memory",
                 absl::StrCat(info.memory_used_bytes, " of ", info.memory_limit_bytes, " bytes")},
                {"gpu", info.gpu},
                {"gpu memory", absl::StrCat(info.gpu_memory_used_bytes, " of ",
                                            info.gpu_memory_limit_bytes, " bytes")}});
  }
  return StatusOf(healthy);
}

absl::Status RunConfig(client::Client& client, const Globals& globals) {
  MRL_ASSIGN_OR_RETURN(const std::vector<client::Setting> settings, client.GetConfig());
  nlohmann::json list = nlohmann::json::array();
  std::vector<std::vector<std::string>> rows;
  for (const client::Setting& one : settings) {
    list.push_back({{"key", one.key}, {"value", one.value}, {"source", one.source}});
    rows.push_back({one.key, one.value, one.source});
  }
  if (globals.json) {
    PrintJson({{"settings", std::move(list)}});
  } else {
    PrintTable(rows);
  }
  return absl::OkStatus();
}

}  // namespace

void AddStatus(CLI::App& app, Verb* verb) {
  CLI::App* status = app.add_subcommand("status", "Show health, version and memory of the server");
  auto health_only = std::make_shared<bool>(false);
  status->add_flag("--health", *health_only, "Ask for health only, which needs no API key");
  auto config = std::make_shared<bool>(false);
  status->add_flag("--config", *config,
                   "Show every setting of the server and where it came from, which needs an "
                   "admin's key");
  status->callback([verb, health_only, config] {
    *verb = *config ? RunConfig : *health_only ? RunHealth : Run;
  });
}

}  // namespace mrl::cli
