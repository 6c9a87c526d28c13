// mrl-index profile: the named funnels of a collection directory.
#include "index/funnel/profile.h"

#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/cli/command.h"
#include "index/cli/open_index.h"
#include "index/cli/output.h"
#include "index/cli/save_profile.h"
#include "index/collection/profiles.h"

namespace mrl::cli {
namespace {

struct ProfileArgs {
  std::string index, name, funnel, note;
  uint32_t k = 10, to_version = 0;
  bool make_default = false, off = false, json = false;
};
using Args = std::shared_ptr<ProfileArgs>;

nlohmann::json ToJson(const funnel::ProfileSet& set, const funnel::Profile& profile) {
  nlohmann::json versions = nlohmann::json::array();
  for (const funnel::ProfileVersion& version : profile.versions) {
    versions.push_back({{"version", version.version},
                        {"funnel", version.funnel},
                        {"k", version.k},
                        {"created_unix_s", version.created_unix_s},
                        {"note", version.note}});
    if (const auto& certificate = version.certificate) {
      versions.back()["certificate"] = {{"recall", certificate->recall},
                                        {"interval", {certificate->low, certificate->high}},
                                        {"k", certificate->k},
                                        {"queries", certificate->queries},
                                        {"sequence", certificate->sequence},
                                        {"rows", certificate->rows}};
    }
  }
  return {{"name", profile.name},
          {"serving_version", profile.serving},
          {"funnel", profile.served().funnel},
          {"default", set.default_name == profile.name},
          {"versions", versions}};
}

absl::Status List(const ProfileArgs& args) {
  MRL_ASSIGN_OR_RETURN(const funnel::ProfileSet set,
                       collection::ReadProfiles(FileSystem::Posix(), args.index));
  nlohmann::json json = nlohmann::json::array();
  std::vector<std::vector<std::string>> table = {{"name", "version", "", "k", "funnel", "note"}};
  for (const funnel::Profile& profile : set.profiles) {
    json.push_back(ToJson(set, profile));
    for (const funnel::ProfileVersion& version : profile.versions) {
      std::string state = version.version == profile.serving ? "serves" : "";
      if (!state.empty() && set.default_name == profile.name) state += ", default";
      table.push_back({profile.name, absl::StrCat(version.version), state, absl::StrCat(version.k),
                       version.funnel, version.note});
    }
  }
  if (args.json) {
    PrintJson(json);
  } else {
    PrintTable(table);
  }
  return absl::OkStatus();
}

absl::Status Save(const ProfileArgs& args) {
  MRL_ASSIGN_OR_RETURN(const OpenedIndex opened, OpenIndex(args.index));
  MRL_ASSIGN_OR_RETURN(const funnel::ChosenPlan chosen,
                       PlanFor(*opened.collection, {}, {.funnel = args.funnel}, args.k,
                               opened.collection->schema().dim));
  MRL_ASSIGN_OR_RETURN(
      const uint32_t version,
      SaveProfile(args.index, chosen.plan,
                  {.name = args.name, .note = args.note, .make_default = args.make_default}));
  std::printf("%s: profile %s version %u\n", args.index.c_str(), args.name.c_str(), version);
  return absl::OkStatus();
}

using Edit = std::function<absl::Status(const ProfileArgs& args, funnel::ProfileSet& set)>;

CLI::App* AddWord(CLI::App& profile, const char* word, const char* help, const Args& args,
                  bool named) {
  CLI::App* added = profile.add_subcommand(word, help);
  added->add_option("--index", args->index, "Collection directory")->required();
  if (named) added->add_option("name", args->name, "Name of the profile")->required();
  return added;
}

CLI::App* AddEdit(CLI::App& profile, const char* word, const char* help, const Args& args,
                  Verb* verb, Edit edit) {
  CLI::App* added = AddWord(profile, word, help, args, /*named=*/true);
  added->callback([args, verb, edit = std::move(edit)] {
    *verb = [args, edit] {
      return collection::EditProfiles(FileSystem::Posix(), args->index,
                                      [&](funnel::ProfileSet& set) { return edit(*args, set); });
    };
  });
  return added;
}

void AddEdits(CLI::App& profile, const Args& args, Verb* verb) {
  CLI::App* set_default =
      AddEdit(profile, "set-default", "Make it what searches get that name nothing", args, verb,
              [](const ProfileArgs& in, funnel::ProfileSet& set) -> absl::Status {
                MRL_RETURN_IF_ERROR(set.Get(in.name).status());
                if (in.off && set.default_name != in.name) return absl::OkStatus();
                return set.SetDefault(in.off ? "" : in.name);
              });
  set_default->add_flag("--off", args->off, "Take the default away from it instead");
  CLI::App* rollback = AddEdit(profile, "rollback", "Let the version before serve again", args,
                               verb, [](const ProfileArgs& in, funnel::ProfileSet& set) {
                                 return set.RollBack(in.name, in.to_version);
                               });
  rollback->add_option("--to", args->to_version, "Or this version");
  AddEdit(profile, "delete", "Remove a profile with its versions", args, verb,
          [](const ProfileArgs& in, funnel::ProfileSet& set) { return set.Delete(in.name); });
}

constexpr char kExamples[] = R"(Examples:
  mrl-index tune --index INDEX --queries queries.npy --target-recall 0.95 --save text95
  mrl-index profile save --index INDEX fast --funnel 128b1:2000,512:10 --default
  mrl-index profile list --index INDEX
  mrl-index profile rollback --index INDEX text95
A server that serves the directory sees a change when it reloads the collection.)";

}  // namespace

void AddProfile(CLI::App& app, Verb* verb) {
  const auto args = std::make_shared<ProfileArgs>();
  CLI::App* profile = app.add_subcommand("profile", "List and change an index's named funnels");
  profile->footer(kExamples);
  profile->require_subcommand(1);
  CLI::App* list = AddWord(*profile, "list", "All profiles with their versions", args, false);
  list->add_flag("--json", args->json, "A JSON array");
  list->callback([args, verb] { *verb = [args] { return List(*args); }; });
  CLI::App* save =
      AddWord(*profile, "save", "Save a funnel: a new profile, or its next version", args, true);
  save->add_option("--funnel", args->funnel, "Such as 16:200,32:100,64:50,512:10")->required();
  save->add_option("-k", args->k, "The k that the keeps are for, 1 to 10000")
      ->capture_default_str();
  save->add_option("--note", args->note, "What it is, at most 1000 bytes");
  save->add_flag("--default", args->make_default, "Make it the default");
  save->callback([args, verb] { *verb = [args] { return Save(*args); }; });
  AddEdits(*profile, args, verb);
}

}  // namespace mrl::cli
