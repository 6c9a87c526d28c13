// mrl aliases: list, set, remove.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "client/cli/command.h"
#include "client/cli/output.h"

namespace mrl::cli {
namespace {

absl::Status Show(const absl::StatusOr<client::Client::Aliases>& aliases, const Globals& globals) {
  MRL_RETURN_IF_ERROR(aliases.status());
  if (globals.json) {
    PrintJson(*aliases);
    return absl::OkStatus();
  }
  std::vector<std::vector<std::string>> table = {{"alias", "collection"}};
  for (const auto& [alias, collection] : *aliases) table.push_back({alias, collection});
  PrintTable(table);
  return absl::OkStatus();
}

absl::Status Set(client::Client& client, const Globals& globals,
                 const std::vector<std::string>& texts) {
  client::Client::Aliases changes;
  for (const std::string& text : texts) {
    std::pair<std::string, std::string> change = absl::StrSplit(text, absl::MaxSplits('=', 1));
    if (change.first.empty() || change.second.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("'", text, "': ALIAS=COLLECTION is needed"));
    }
    if (!changes.insert(std::move(change)).second) {
      return absl::InvalidArgumentError(absl::StrCat("'", text, "': the alias comes twice"));
    }
  }
  return Show(client.UpdateAliases(changes), globals);
}

absl::Status Remove(client::Client& client, const Globals& globals,
                    const std::vector<std::string>& names) {
  client::Client::Aliases changes;
  for (const std::string& name : names) changes[name] = "";
  return Show(client.UpdateAliases(changes), globals);
}

}  // namespace

void AddAliases(CLI::App& app, Verb* verb) {
  CLI::App* aliases = app.add_subcommand("aliases", "Other names of collections");
  aliases->require_subcommand(1);
  aliases->add_subcommand("list", "All aliases")->callback([verb] {
    *verb = [](client::Client& client, const Globals& globals) {
      return Show(client.ListAliases(), globals);
    };
  });
  auto texts = std::make_shared<std::vector<std::string>>();
  CLI::App* set = aliases->add_subcommand("set", "Let aliases stand for collections, in one step");
  set->add_option("change", *texts, "ALIAS=COLLECTION")->required();
  RunWith(*set, texts, Set, verb);
  CLI::App* remove = aliases->add_subcommand("remove", "Remove aliases, in one step");
  remove->add_option("alias", *texts, "Alias")->required();
  RunWith(*remove, texts, Remove, verb);
}

}  // namespace mrl::cli
