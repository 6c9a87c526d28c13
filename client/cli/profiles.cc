// mrl profiles: the named funnels of a collection.
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "client/cli/command.h"
#include "client/cli/output.h"

namespace mrl::cli {
namespace {

struct ProfileFlags {
  std::string collection, name;
  client::ProfileVersion version{
      .version = 0, .funnel = {}, .k = 10, .created_unix_s = 0, .note = {}, .certificate = {}};
  bool make_default = false;
  bool off = false;
  uint32_t to_version = 0;
  double share = 0;
};
using Flags = std::shared_ptr<ProfileFlags>;

nlohmann::json ToJson(const client::Profile& profile) {
  nlohmann::json versions = nlohmann::json::array();
  for (const client::ProfileVersion& version : profile.versions) {
    versions.push_back({{"version", version.version},
                        {"funnel", version.funnel},
                        {"k", version.k},
                        {"created_unix_s", version.created_unix_s},
                        {"note", version.note}});
  }
  return {{"name", profile.name},
          {"serving_version", profile.serving_version},
          {"funnel", profile.funnel},
          {"default", profile.is_default},
          {"shadow_share", profile.shadow_share},
          {"versions", versions}};
}

std::string Shadow(const client::Profile& profile) {
  return profile.shadow_share > 0 ? absl::StrFormat("%g", profile.shadow_share) : "";
}

absl::Status List(client::Client& client, const Globals& globals, const ProfileFlags& flags) {
  MRL_ASSIGN_OR_RETURN(const std::vector<client::Profile> profiles,
                       client.ListProfiles(flags.collection));
  nlohmann::json json = nlohmann::json::array();
  std::vector<std::vector<std::string>> rows = {{"name", "version", "default", "shadow", "funnel"}};
  for (const client::Profile& profile : profiles) {
    json.push_back(ToJson(profile));
    rows.push_back({profile.name, absl::StrCat(profile.serving_version),
                    profile.is_default ? "yes" : "", Shadow(profile), profile.funnel});
  }
  if (globals.json) {
    PrintJson(json);
  } else {
    PrintTable(rows);
  }
  return absl::OkStatus();
}

absl::Status Show(const absl::StatusOr<client::Profile>& profile, const Globals& globals) {
  MRL_RETURN_IF_ERROR(profile.status());
  if (globals.json) {
    PrintJson(ToJson(*profile));
    return absl::OkStatus();
  }
  std::printf(
      "%s%s%s\n", profile->name.c_str(), profile->is_default ? ", the default" : "",
      profile->shadow_share > 0 ? absl::StrCat(", shadow on ", Shadow(*profile)).c_str() : "");
  std::vector<std::vector<std::string>> rows = {{"version", "", "k", "funnel", "note"}};
  for (const client::ProfileVersion& version : profile->versions) {
    rows.push_back({absl::StrCat(version.version),
                    version.version == profile->serving_version ? "serves" : "",
                    absl::StrCat(version.k), version.funnel, version.note});
  }
  PrintTable(rows);
  return absl::OkStatus();
}

using Run = std::function<absl::Status(client::Client&, const Globals&, const ProfileFlags&)>;

// One word under `profiles`, with what all of them take.
CLI::App* AddWord(CLI::App& profiles, const char* word, const char* help, bool named,
                  const Flags& flags, Verb* verb, Run run) {
  CLI::App* added = profiles.add_subcommand(word, help);
  added->add_option("collection", flags->collection, "Name of the collection")->required();
  if (named) added->add_option("name", flags->name, "Name of the profile")->required();
  RunWith(*added, flags, std::move(run), verb);
  return added;
}

void AddVersionFlags(CLI::App* word, const Flags& flags) {
  word->add_option("--funnel", flags->version.funnel, "Stages, such as 16:200,64:50,512:10")
      ->required();
  word->add_option("-k,--k", flags->version.k, "The k that the keeps are for, 1 to 10000")
      ->capture_default_str();
  word->add_option("--note", flags->version.note, "What it is, at most 1000 bytes");
}

// A change of one profile, then its new state.
Run Update(std::function<void(const ProfileFlags&, client::ProfileChange*)> set) {
  return [set = std::move(set)](client::Client& client, const Globals& globals,
                                const ProfileFlags& flags) {
    client::ProfileChange change;
    set(flags, &change);
    return Show(client.UpdateProfile(flags.collection, flags.name, change), globals);
  };
}

void AddChanges(CLI::App& profiles, const Flags& flags, Verb* verb) {
  CLI::App* update =
      AddWord(profiles, "update", "Save a new version, which serves at once", true, flags, verb,
              Update([](const ProfileFlags& in, client::ProfileChange* out) {
                out->funnel = in.version.funnel;
                out->k = in.version.k;
                out->note = in.version.note;
              }));
  AddVersionFlags(update, flags);
  CLI::App* set_default =
      AddWord(profiles, "set-default", "Make it what searches get that name nothing", true, flags,
              verb, Update([](const ProfileFlags& in, client::ProfileChange* out) {
                out->is_default = !in.off;
              }));
  set_default->add_flag("--off", flags->off, "Take the default away from it instead");
  CLI::App* rollback =
      AddWord(profiles, "rollback", "Let the version before serve again", true, flags, verb,
              Update([](const ProfileFlags& in, client::ProfileChange* out) {
                out->serving_version = in.to_version;
              }));
  rollback->add_option("--to", flags->to_version, "Or this version");
  CLI::App* shadow =
      AddWord(profiles, "shadow", "Run it beside a share of the searches, for metrics", true, flags,
              verb, Update([](const ProfileFlags& in, client::ProfileChange* out) {
                out->shadow_share = in.share;
              }));
  shadow->add_option("share", flags->share, "0 to 1; 0 ends the shadow")->required();
}

}  // namespace

void AddProfiles(CLI::App& app, Verb* verb) {
  CLI::App* profiles = app.add_subcommand("profiles", "List, show and change named funnels");
  profiles->require_subcommand(1);
  const auto flags = std::make_shared<ProfileFlags>();
  AddWord(*profiles, "list", "All profiles", false, flags, verb, List);
  AddWord(*profiles, "get", "One profile with its versions", true, flags, verb,
          [](client::Client& client, const Globals& globals, const ProfileFlags& in) {
            return Show(client.GetProfile(in.collection, in.name), globals);
          });
  CLI::App* create = AddWord(
      *profiles, "create", "Save a funnel under a name", true, flags, verb,
      [](client::Client& client, const Globals& globals, const ProfileFlags& in) {
        return Show(client.CreateProfile(in.collection, in.name, in.version, in.make_default),
                    globals);
      });
  AddVersionFlags(create, flags);
  create->add_flag("--default", flags->make_default, "Make it the default");
  AddChanges(*profiles, flags, verb);
  AddWord(*profiles, "delete", "Remove a profile with its versions", true, flags, verb,
          [](client::Client& client, const Globals&, const ProfileFlags& in) {
            return client.DeleteProfile(in.collection, in.name);
          });
}

}  // namespace mrl::cli
