#include "client/cli/collection_output.h"

#include <cstdio>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "client/cli/output.h"

namespace mrl::cli {

nlohmann::json ToJson(const client::Collection& collection) {
  return {{"name", collection.name},
          {"serving", collection.serving},
          {"state", collection.state},
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

absl::Status ShowCollection(const absl::StatusOr<client::Collection>& found,
                            const Globals& globals) {
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

}  // namespace mrl::cli
