// mrl points: count, list and delete the points of a collection; what writes is in point_writes.cc.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "client/cli/command.h"
#include "client/cli/output.h"
#include "client/cli/search_flags.h"

namespace mrl::cli {
namespace {

struct PointFlags {
  std::string collection;
  std::string filter;
  std::vector<std::string> ids;
  bool text_ids = false;
  bool validate_only = false;
  uint64_t limit = 20;
};

nlohmann::json IdJson(const client::Id& id) {
  if (const auto* number = std::get_if<uint64_t>(&id)) return *number;
  return std::get<std::string>(id);
}

absl::Status Count(client::Client& client, const Globals& globals, const PointFlags& flags) {
  MRL_ASSIGN_OR_RETURN(const uint64_t points, client.CountPoints(flags.collection, flags.filter));
  if (globals.json) {
    PrintJson({{"points", points}});
  } else {
    std::printf("%llu\n", static_cast<unsigned long long>(points));
  }
  return absl::OkStatus();
}

absl::Status List(client::Client& client, const Globals& globals, const PointFlags& flags) {
  MRL_ASSIGN_OR_RETURN(const std::vector<client::Point> points,
                       client.ListPoints(flags.collection, flags.filter, flags.limit));
  nlohmann::json out = nlohmann::json::array();
  std::vector<std::vector<std::string>> table = {{"id", "sequence", "payload"}};
  for (const client::Point& point : points) {
    table.push_back({client::ToString(point.id), absl::StrCat(point.sequence), point.payload_json});
    nlohmann::json json = {{"id", IdJson(point.id)}, {"sequence", point.sequence}};
    if (!point.payload_json.empty()) {
      json["payload"] = nlohmann::json::parse(point.payload_json, nullptr, false);
    }
    out.push_back(std::move(json));
  }
  if (globals.json) {
    PrintJson(out);
  } else {
    PrintTable(table);
  }
  return absl::OkStatus();
}

absl::Status Delete(client::Client& client, const Globals& globals, const PointFlags& flags) {
  std::vector<client::Id> ids;
  for (const std::string& id : flags.ids) ids.push_back(ParseId(id, flags.text_ids));
  MRL_ASSIGN_OR_RETURN(
      const client::Deleted deleted,
      flags.filter.empty()
          ? client.DeletePoints(flags.collection, ids, flags.validate_only)
          : client.DeleteMatching(flags.collection, flags.filter, flags.validate_only));
  if (globals.json) {
    nlohmann::json sample = nlohmann::json::array();
    for (const client::Id& id : deleted.sample) sample.push_back(IdJson(id));
    PrintJson({{"points", deleted.points}, {"sequence", deleted.sequence}, {"sample", sample}});
    return absl::OkStatus();
  }
  std::printf("%llu points %s\n", static_cast<unsigned long long>(deleted.points),
              flags.validate_only ? "would be deleted" : "deleted");
  for (const client::Id& id : deleted.sample) std::printf("%s\n", client::ToString(id).c_str());
  return absl::OkStatus();
}

using Run = absl::Status (*)(client::Client&, const Globals&, const PointFlags&);

CLI::App* AddOne(CLI::App& points, const char* name, const char* about, Run run,
                 const std::shared_ptr<PointFlags>& flags, Verb* verb) {
  CLI::App* one = points.add_subcommand(name, about);
  one->add_option("collection,-c,--collection", flags->collection, "Name of the collection")
      ->required();
  RunWith(*one, flags, run, verb);
  return one;
}

}  // namespace

void AddPoints(CLI::App& app, Verb* verb) {
  CLI::App* points = app.add_subcommand("points", "Write, read, count and delete points");
  points->require_subcommand(1);
  auto flags = std::make_shared<PointFlags>();
  constexpr char kFilter[] = "Only points that match, such as 'year >= 2000 AND lang = \"en\"'";
  CLI::App* count = AddOne(*points, "count", "Number of points", Count, flags, verb);
  count->add_option("--filter", flags->filter, kFilter);
  CLI::App* list = AddOne(*points, "list", "Points in order of writes", List, flags, verb);
  list->add_option("--filter", flags->filter, kFilter);
  list->add_option("--limit", flags->limit, "At most so many")->capture_default_str();
  CLI::App* remove = AddOne(*points, "delete", "Delete points", Delete, flags, verb);
  CLI::Option_group* which = remove->add_option_group("Points", "One of the two");
  which->add_option("--id", flags->ids, "These; digits are a number id");
  which->add_option("--filter", flags->filter, kFilter);
  which->require_option(1);
  remove->add_flag("--text-id", flags->text_ids, "Digits in --id are text");
  remove->add_flag("--dry-run", flags->validate_only,
                   "Print how many would be deleted, and some of them");
  AddPointWrites(*points, verb);
}

}  // namespace mrl::cli
