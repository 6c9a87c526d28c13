// mrl explain: a search with what each stage did, and where given points fell out.
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "client/cli/command.h"
#include "client/cli/output.h"
#include "client/cli/search_flags.h"

namespace mrl::cli {
namespace {

struct ExplainFlags {
  SearchFlags search;
  std::vector<std::string> why_not;
  bool compare_exact = false;
};

std::string Verdict(const client::WhyNot& point) {
  if (!point.found) return "not in the collection";
  if (!point.lost_at) return "in the result";
  return absl::StrCat("fell out at stage ", *point.lost_at);
}

void PrintWhyNot(const client::WhyNot& point) {
  std::printf("\n%s: %s\n", client::ToString(point.id).c_str(), Verdict(point).c_str());
  if (point.stages.empty()) return;
  std::vector<std::vector<std::string>> rows = {{"stage", "rank", "score"}};
  for (size_t i = 0; i < point.stages.size(); ++i) {
    const auto& stage = point.stages[i];
    rows.push_back({absl::StrCat(i), stage.rank ? absl::StrCat(*stage.rank + 1) : "-",
                    absl::StrFormat("%.4f", stage.score)});
  }
  PrintTable(rows);
}

nlohmann::json ToJson(const client::WhyNot& point) {
  nlohmann::json stages = nlohmann::json::array();
  for (const auto& stage : point.stages) {
    nlohmann::json out = {{"rank", nullptr}, {"score", stage.score}};
    if (stage.rank) out["rank"] = *stage.rank;
    stages.push_back(std::move(out));
  }
  nlohmann::json out = {{"id", cli::ToJson(point.id)}, {"found", point.found}, {"stages", stages}};
  out["lost_at"] = nullptr;
  if (point.lost_at) out["lost_at"] = *point.lost_at;
  return out;
}

absl::Status Run(client::Client& client, const Globals& globals, const ExplainFlags& flags) {
  MRL_ASSIGN_OR_RETURN(const client::Query query, flags.search.ReadQuery());
  client::SearchOptions options = flags.search.options;
  options.with_payload = true;
  std::vector<client::Id> ids;
  for (const std::string& text : flags.why_not) {
    ids.push_back(ParseId(text, flags.search.text_id));
  }
  MRL_ASSIGN_OR_RETURN(
      const client::Explanation explanation,
      client.Explain(flags.search.collection, query, options, ids, flags.compare_exact));
  if (globals.json) {
    nlohmann::json out = cli::ToJson(explanation.result);
    if (explanation.recall) out["recall"] = *explanation.recall;
    out["why_not"] = nlohmann::json::array();
    for (const client::WhyNot& point : explanation.why_not) out["why_not"].push_back(ToJson(point));
    PrintJson(out);
    return absl::OkStatus();
  }
  PrintHits(explanation.result);
  std::printf("\n");
  PrintStages(explanation.result.stats);
  if (explanation.recall) {
    std::printf("\nrecall of this search against exact search: %.4f\n", *explanation.recall);
  }
  for (const client::WhyNot& point : explanation.why_not) PrintWhyNot(point);
  return absl::OkStatus();
}

}  // namespace

void AddExplain(CLI::App& app, Verb* verb) {
  CLI::App* explain = app.add_subcommand("explain", "Show what each stage of a search did");
  auto flags = std::make_shared<ExplainFlags>();
  flags->search.AddTo(*explain);
  explain->add_option("--why-not", flags->why_not, "Ids to follow through the stages")
      ->delimiter(',');
  explain->add_flag("--compare-exact", flags->compare_exact,
                    "Run exact search too; tell the recall and follow what was not found");
  explain->callback([verb, flags] {
    flags->search.Check();
    *verb = [flags](client::Client& client, const Globals& globals) {
      return Run(client, globals, *flags);
    };
  });
}

}  // namespace mrl::cli
