// mrl collections: create, update, compact, delete, stats.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "client/cli/collection_output.h"
#include "client/cli/command.h"
#include "client/cli/operation_wait.h"
#include "client/cli/output.h"

namespace mrl::cli {
namespace {

struct ChangeFlags {
  client::NewCollection wanted;
  std::vector<std::string> fields;
  bool no_fields = false;
  bool validate_only = false;
  bool no_wait = false;
};

absl::Status Create(client::Client& client, const Globals& globals, const ChangeFlags& flags) {
  return ShowCollection(client.CreateCollection(flags.wanted), globals);
}

absl::Status Update(client::Client& client, const Globals& globals, const ChangeFlags& flags) {
  return End(client, globals,
             client.UpdateFields(flags.wanted.name, flags.fields, flags.validate_only),
             flags.no_wait);
}

absl::Status Compact(client::Client& client, const Globals& globals, const ChangeFlags& flags) {
  return End(client, globals, client.CompactCollection(flags.wanted.name), flags.no_wait);
}

absl::Status Delete(client::Client& client, const Globals&, const ChangeFlags& flags) {
  return client.DeleteCollection(flags.wanted.name);
}

absl::Status Stats(client::Client& client, const Globals& globals, const ChangeFlags& flags) {
  MRL_ASSIGN_OR_RETURN(const client::CollectionStats stats,
                       client.GetCollectionStats(flags.wanted.name));
  if (!globals.json) {
    PrintTable({{"rows", absl::StrCat(stats.rows)},
                {"segments", absl::StrCat(stats.segments)},
                {"memory bytes", absl::StrCat(stats.memory_bytes)},
                {"hot bytes", absl::StrCat(stats.hot_bytes)},
                {"disk bytes", absl::StrCat(stats.disk_bytes)}});
    return absl::OkStatus();
  }
  nlohmann::json levels = nlohmann::json::object();
  for (const auto& [dims, bytes] : stats.level_bytes) levels[absl::StrCat(dims)] = bytes;
  PrintJson({{"name", stats.name},
             {"generation", stats.generation},
             {"rows", stats.rows},
             {"segments", stats.segments},
             {"memory_bytes", stats.memory_bytes},
             {"hot_bytes", stats.hot_bytes},
             {"disk_bytes", stats.disk_bytes},
             {"level_bytes", levels},
             {"file_bytes", stats.file_bytes}});
  return absl::OkStatus();
}

using Run = absl::Status (*)(client::Client&, const Globals&, const ChangeFlags&);

CLI::App* AddOne(CLI::App& collections, const char* verb_name, const char* about, Run run,
                 const std::shared_ptr<ChangeFlags>& flags, Verb* verb) {
  CLI::App* one = collections.add_subcommand(verb_name, about);
  one->add_option("name", flags->wanted.name, "Name of the collection")->required();
  RunWith(*one, flags, run, verb);
  return one;
}

}  // namespace

void AddCollectionChanges(CLI::App& collections, Verb* verb) {
  auto flags = std::make_shared<ChangeFlags>();
  client::NewCollection& wanted = flags->wanted;
  constexpr char kField[] =
      "Payload field that filters may name, such as year:int; may be repeated";
  CLI::App* create = AddOne(collections, "create", "Make an empty collection", Create, flags, verb);
  create->add_option("--dim", wanted.dim, "Dimensions of a vector")->required();
  create->add_option("--ladder", wanted.ladder, "Prefix lengths, such as 64,256,768");
  create->add_option("--metric", wanted.metric, "cosine (default), ip or l2");
  create->add_option("--storage", wanted.storage, "f32 (default), f16, bf16 or int8");
  create->add_option("--transform", wanted.transform, "none (default) or layer_norm");
  create->add_option("--codes", wanted.codes,
                     "Prefixes kept as codes, such as 64b8,512b1, or none");
  create->add_option("--field", wanted.fields, kField);
  create->add_flag("--dry-run", wanted.validate_only, "Check, and make nothing");
  CLI::App* update =
      AddOne(collections, "update", "Change the fields that filters may name", Update, flags, verb);
  CLI::Option_group* which = update->add_option_group("Fields", "All that there are from then on");
  which->add_option("--field", flags->fields, kField);
  which->add_flag("--no-fields", flags->no_fields, "None");
  which->require_option(1);
  update->add_flag("--dry-run", flags->validate_only, "Check, and change nothing");
  AddNoWait(*update, &flags->no_wait);
  CLI::App* compact = AddOne(collections, "compact", "Merge all segments, without what was deleted",
                             Compact, flags, verb);
  AddNoWait(*compact, &flags->no_wait);
  AddOne(collections, "delete", "Delete a collection with all its points", Delete, flags, verb);
  AddOne(collections, "stats", "Bytes in memory and on disk", Stats, flags, verb);
}

}  // namespace mrl::cli
