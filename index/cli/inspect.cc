// mrl-index inspect: what a collection directory holds, and what it costs.
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "index/cli/command.h"
#include "index/cli/open_index.h"
#include "index/cli/output.h"

namespace mrl::cli {
namespace {

uint64_t LevelBytes(const collection::Collection& collection, size_t level) {
  return collection.rows() * collection.schema().level_bytes(level);
}

nlohmann::json InspectJson(const collection::Collection& collection) {
  const Schema& schema = collection.schema();
  nlohmann::json levels = nlohmann::json::array();
  for (size_t level = 0; level < schema.levels(); ++level) {
    levels.push_back({{"dims", schema.ladder[level]},
                      {"bytes", LevelBytes(collection, level)},
                      {"memory_bytes", collection.level_memory_bytes(level)}});
  }
  nlohmann::json files = nlohmann::json::array();
  for (const auto& file : collection.files()) {
    files.push_back({{"name", file.name}, {"bytes", file.bytes}});
  }
  return {{"uuid", collection.uuid()},
          {"generation", collection.generation()},
          {"created_unix_s", collection.created_unix_s()},
          {"rows", collection.rows()},
          {"dim", schema.dim},
          {"metric", std::string(ToString(schema.metric))},
          {"storage", std::string(ToString(schema.storage))},
          {"transform", std::string(ToString(schema.transform))},
          {"codes", FormatCodes(schema.codes)},
          {"fields", FormatFields(schema.fields)},
          {"coarse", collection.kinds()},
          {"segments", collection.view().parts.size()},
          {"levels", levels},
          {"hot_bytes", collection.hot_bytes()},
          {"memory_bytes", collection.memory_bytes()},
          {"files", files}};
}

void PrintText(const collection::Collection& collection) {
  const Schema& schema = collection.schema();
  std::printf("uuid %s, generation %llu\n", collection.uuid().c_str(),
              static_cast<unsigned long long>(collection.generation()));
  std::printf("%llu rows of %u dimensions, metric %s, storage %s, transform %s\n",
              static_cast<unsigned long long>(collection.rows()), schema.dim,
              std::string(ToString(schema.metric)).c_str(),
              std::string(ToString(schema.storage)).c_str(),
              std::string(ToString(schema.transform)).c_str());
  std::printf("codes %s; coarse kinds %s (the first is active); %zu segments\n\n",
              FormatCodes(schema.codes).c_str(), absl::StrJoin(collection.kinds(), ", ").c_str(),
              collection.view().parts.size());
  if (!schema.fields.empty()) {
    std::printf("fields for filters: %s\n\n", FormatFields(schema.fields).c_str());
  }
  std::vector<std::vector<std::string>> table = {{"level", "dims", "width", "bytes", "in memory"}};
  for (size_t level = 0; level < schema.levels(); ++level) {
    table.push_back({absl::StrCat(level), absl::StrCat(schema.ladder[level]),
                     absl::StrCat(schema.level_width(level)),
                     HumanBytes(LevelBytes(collection, level)),
                     HumanBytes(collection.level_memory_bytes(level))});
  }
  PrintTable(table);
  std::puts("");
  for (const auto& part : collection.view().parts) {
    for (const auto& index : part.indexes) {
      std::printf("segment %u: %s\n", part.segment->info().number, index->Describe().c_str());
    }
  }
  std::printf("in memory: %s, of which %s beside the levels\n\n",
              HumanBytes(collection.memory_bytes()).c_str(),
              HumanBytes(collection.hot_bytes()).c_str());
  table = {{"file", "bytes"}};
  for (const auto& file : collection.files()) table.push_back({file.name, HumanBytes(file.bytes)});
  PrintTable(table);
}

}  // namespace

void AddInspect(CLI::App& app, Verb* verb) {
  auto index = std::make_shared<std::string>();
  auto flags = std::make_shared<OpenFlags>();
  auto json = std::make_shared<bool>(false);
  CLI::App* inspect = app.add_subcommand("inspect", "Show schema, levels, codes, files and memory");
  inspect->footer("Example:\n  mrl-index inspect --index INDEX --json");
  inspect->add_option("--index", *index, "Collection directory")->required();
  AddHotDimsFlag(*inspect, &flags->hot_dims);
  inspect->add_flag("--json", *json, "Print JSON");
  inspect->callback([index, flags, json, verb] {
    *verb = [index, flags, json]() -> absl::Status {
      MRL_ASSIGN_OR_RETURN(const OpenedIndex opened, OpenIndex(*index, *flags));
      if (*json) {
        PrintJson(InspectJson(*opened.collection));
      } else {
        PrintText(*opened.collection);
      }
      return absl::OkStatus();
    };
  });
}

}  // namespace mrl::cli
