// mrl indexes: build, list, use, delete.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "client/cli/command.h"
#include "client/cli/operation_wait.h"
#include "client/cli/output.h"

namespace mrl::cli {
namespace {

struct IndexFlags {
  client::Index wanted;
  bool activate = false;
  bool validate_only = false;
  bool no_wait = false;
};

nlohmann::json ToJson(const client::Index& index) {
  return {{"collection", index.collection},
          {"kind", index.kind},
          {"dims", index.dims},
          {"faiss_factory", index.faiss_factory},
          {"lists", index.lists},
          {"code", index.code},
          {"degree", index.degree},
          {"active", index.active},
          {"memory_bytes", index.memory_bytes},
          {"segments", index.segments}};
}

absl::Status Build(client::Client& client, const Globals& globals, const IndexFlags& flags) {
  return End(client, globals, client.BuildIndex(flags.wanted, flags.activate, flags.validate_only),
             flags.no_wait);
}

absl::Status List(client::Client& client, const Globals& globals, const IndexFlags& flags) {
  MRL_ASSIGN_OR_RETURN(const auto indexes, client.ListIndexes(flags.wanted.collection));
  if (globals.json) {
    nlohmann::json out = nlohmann::json::array();
    for (const client::Index& index : indexes) out.push_back(ToJson(index));
    PrintJson(out);
    return absl::OkStatus();
  }
  std::vector<std::vector<std::string>> table = {
      {"kind", "dims", "code", "lists", "degree", "memory bytes", "segments", "active"}};
  for (const client::Index& index : indexes) {
    table.push_back({index.kind, absl::StrCat(index.dims), index.code, absl::StrCat(index.lists),
                     absl::StrCat(index.degree), absl::StrCat(index.memory_bytes),
                     absl::StrCat(index.segments), index.active ? "yes" : ""});
  }
  PrintTable(table);
  return absl::OkStatus();
}

absl::Status Use(client::Client& client, const Globals& globals, const IndexFlags& flags) {
  MRL_ASSIGN_OR_RETURN(const client::Index index,
                       client.ActivateIndex(flags.wanted.collection, flags.wanted.kind));
  if (globals.json) PrintJson(ToJson(index));
  return absl::OkStatus();
}

absl::Status Delete(client::Client& client, const Globals&, const IndexFlags& flags) {
  return client.DeleteIndex(flags.wanted.collection, flags.wanted.kind);
}

using Run = absl::Status (*)(client::Client&, const Globals&, const IndexFlags&);

CLI::App* AddOne(CLI::App& indexes, const std::string& verb_name, const char* about, Run run,
                 const std::shared_ptr<IndexFlags>& flags, Verb* verb) {
  CLI::App* one = indexes.add_subcommand(verb_name, about);
  one->add_option("collection", flags->wanted.collection, "Name of the collection")->required();
  if (verb_name != "list") {
    one->add_option("kind", flags->wanted.kind, "ivf_scan, graph, faiss or scan")->required();
  }
  RunWith(*one, flags, run, verb);
  return one;
}

}  // namespace

void AddIndexes(CLI::App& app, Verb* verb) {
  CLI::App* indexes = app.add_subcommand("indexes", "Build, choose and delete coarse indexes");
  indexes->require_subcommand(1);
  auto flags = std::make_shared<IndexFlags>();
  CLI::App* build =
      AddOne(*indexes, "build", "Build an index while the server runs", Build, flags, verb);
  build->add_option("--dims", flags->wanted.dims,
                    "A step of the ladder; may be left out but for faiss, and there for product "
                    "quantisers such as OPQ32,PQ32: the one that is measured to find most");
  build->add_option("--faiss-factory", flags->wanted.faiss_factory, "Such as HNSW32");
  build->add_option("--lists", flags->wanted.lists, "Lists of a segment, for ivf_scan");
  build->add_option("--code", flags->wanted.code,
                    "What lists hold, such as 64b8, or what a graph is walked by, such as 512b1");
  build->add_option("--degree", flags->wanted.degree, "Links of a row of a graph; default 64");
  build->add_flag("--activate", flags->activate, "Searches use it when it is built");
  build->add_flag("--dry-run", flags->validate_only, "Check, and say what it would take");
  AddNoWait(*build, &flags->no_wait);
  AddOne(*indexes, "list", "Indexes of a collection, the active one first", List, flags, verb);
  AddOne(*indexes, "use", "Let searches use it that name no other", Use, flags, verb);
  AddOne(*indexes, "delete", "Remove one that is not active", Delete, flags, verb);
}

}  // namespace mrl::cli
