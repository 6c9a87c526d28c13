// mrl collections: list, get, reload; what changes them is in collection_changes.cc.
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "client/cli/collection_output.h"
#include "client/cli/command.h"
#include "client/cli/output.h"

namespace mrl::cli {
namespace {

absl::Status List(client::Client& client, const Globals& globals) {
  MRL_ASSIGN_OR_RETURN(const std::vector<client::Collection> collections, client.ListCollections());
  if (globals.json) {
    nlohmann::json out = nlohmann::json::array();
    for (const client::Collection& collection : collections) out.push_back(ToJson(collection));
    PrintJson(out);
    return absl::OkStatus();
  }
  std::vector<std::vector<std::string>> rows = {
      {"name", "rows", "dim", "metric", "storage", "generation", "state"}};
  for (const client::Collection& collection : collections) {
    rows.push_back({collection.name, absl::StrCat(collection.rows), absl::StrCat(collection.dim),
                    collection.metric, collection.storage, absl::StrCat(collection.generation),
                    collection.state});
  }
  PrintTable(rows);
  return absl::OkStatus();
}

}  // namespace

void AddCollections(CLI::App& app, Verb* verb) {
  CLI::App* collections =
      app.add_subcommand("collections", "Make, show, change and delete collections");
  collections->require_subcommand(1);
  collections->add_subcommand("list", "All collections")->callback([verb] { *verb = List; });

  auto name = std::make_shared<std::string>();
  CLI::App* get = collections->add_subcommand("get", "One collection");
  get->add_option("name", *name, "Name of the collection")->required();
  get->callback([verb, name] {
    *verb = [name](client::Client& client, const Globals& globals) {
      return ShowCollection(client.GetCollection(*name), globals);
    };
  });
  CLI::App* reload = collections->add_subcommand("reload", "Open what lies in its directory now");
  reload->add_option("name", *name, "Name of the collection")->required();
  reload->callback([verb, name] {
    *verb = [name](client::Client& client, const Globals& globals) {
      return ShowCollection(client.ReloadCollection(*name), globals);
    };
  });
  AddCollectionChanges(*collections, verb);
}

}  // namespace mrl::cli
