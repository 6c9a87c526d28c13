// mrl collections: list, get, reload.
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "client/cli/command.h"
#include "client/cli/output.h"

namespace mrl::cli {
namespace {

nlohmann::json ToJson(const client::Collection& collection) {
  return {{"name", collection.name},
          {"serving", collection.serving},
          {"state_message", collection.state_message},
          {"uuid", collection.uuid},
          {"generation", collection.generation},
          {"created_unix_s", collection.created_unix_s},
          {"rows", collection.rows},
          {"dim", collection.dim},
          {"ladder", collection.ladder},
          {"metric", collection.metric},
          {"storage", collection.storage},
          {"transform", collection.transform},
          {"codes", collection.codes},
          {"kinds", collection.kinds},
          {"fields", collection.fields}};
}

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
                    collection.serving ? "serving" : "damaged"});
  }
  PrintTable(rows);
  return absl::OkStatus();
}

absl::Status Show(const absl::StatusOr<client::Collection>& found, const Globals& globals) {
  MRL_RETURN_IF_ERROR(found.status());
  const client::Collection& collection = *found;
  if (globals.json) {
    PrintJson(ToJson(collection));
    return absl::OkStatus();
  }
  PrintTable({{"name", collection.name},
              {"rows", absl::StrCat(collection.rows)},
              {"ladder", absl::StrJoin(collection.ladder, ",")},
              {"metric", collection.metric},
              {"storage", collection.storage},
              {"transform", collection.transform},
              {"codes", absl::StrJoin(collection.codes, ",")},
              {"kinds", absl::StrJoin(collection.kinds, ",")},
              {"fields", absl::StrJoin(collection.fields, ",")},
              {"generation", absl::StrCat(collection.generation)},
              {"uuid", collection.uuid}});
  if (!collection.state_message.empty()) {
    std::printf("last reload: %s\n", collection.state_message.c_str());
  }
  return absl::OkStatus();
}

}  // namespace

void AddCollections(CLI::App& app, Verb* verb) {
  CLI::App* collections = app.add_subcommand("collections", "List, show or reload collections");
  collections->require_subcommand(1);
  collections->add_subcommand("list", "All collections")->callback([verb] { *verb = List; });

  auto name = std::make_shared<std::string>();
  CLI::App* get = collections->add_subcommand("get", "One collection");
  get->add_option("name", *name, "Name of the collection")->required();
  get->callback([verb, name] {
    *verb = [name](client::Client& client, const Globals& globals) {
      return Show(client.GetCollection(*name), globals);
    };
  });
  CLI::App* reload = collections->add_subcommand("reload", "Open what lies in its directory now");
  reload->add_option("name", *name, "Name of the collection")->required();
  reload->callback([verb, name] {
    *verb = [name](client::Client& client, const Globals& globals) {
      return Show(client.ReloadCollection(*name), globals);
    };
  });
}

}  // namespace mrl::cli
