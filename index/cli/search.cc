// mrl-index search: one query, by id or by vector file.
#include <cstdio>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "index/cli/asked.h"
#include "index/cli/command.h"
#include "index/cli/open_index.h"
#include "index/cli/output.h"
#include "index/funnel/filtered.h"

namespace mrl::cli {
namespace {

struct SearchArgs {
  std::string index, id, vector, funnel, profile, filter;
  std::vector<std::string> why_not, fields;
  uint64_t row = 0;
  uint32_t k = 10;
  std::optional<double> adaptive_keep;
  bool exact = false, explain = false, json = false, include_self = false;
  OpenFlags open;
};

// Ids are typed as text: a string id first, then a number.
absl::StatusOr<PointId> ParseId(const funnel::View& view, const std::string& text) {
  const PointId as_text{text};
  if (funnel::Find(view, as_text).has_value()) return as_text;
  uint64_t number = 0;
  if (absl::SimpleAtoi(text, &number)) return PointId(number);
  return as_text;
}

struct Asked {
  std::vector<float> vector;
  std::optional<funnel::Location> self;
};

absl::StatusOr<Asked> ReadQuery(const SearchArgs& args, const collection::Collection& collection) {
  Asked asked;
  if (!args.vector.empty()) {
    MRL_ASSIGN_OR_RETURN(Queries queries,
                         ReadQueries(args.vector, collection.schema(), args.row, 1));
    asked.vector = std::move(queries.values);
    return asked;
  }
  MRL_ASSIGN_OR_RETURN(const PointId id, ParseId(collection.view(), args.id));
  const auto at = funnel::Find(collection.view(), id);
  if (!at.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the id '", args.id, "' is not in ", args.index));
  }
  asked.vector.resize(collection.schema().dim);
  MRL_RETURN_IF_ERROR(
      collection.view().parts[at->part].segment->Vector(at->row, asked.vector.data()));
  if (!args.include_self) asked.self = at;
  return asked;
}

absl::StatusOr<nlohmann::json> HitJson(const funnel::View& view, const funnel::Hit& hit) {
  const store::Segment& segment = *view.parts[hit.at.part].segment;
  nlohmann::json json = {{"id", ToJson(segment.Id(hit.at.row))}, {"score", hit.score}};
  MRL_ASSIGN_OR_RETURN(const std::string payload, segment.Payload(hit.at.row));
  if (!payload.empty()) json["payload"] = nlohmann::json::parse(payload, nullptr, false);
  return json;
}

std::string Cell(const nlohmann::json& value) {
  return value.is_string() ? value.get<std::string>()
                           : value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// The fields that were asked for; else the field `text`, or the whole payload where it has none.
std::vector<std::string> FieldCells(const SearchArgs& args, const nlohmann::json& hit) {
  const auto payload = hit.find("payload");
  const auto field = [&](const std::string& name) {
    if (payload == hit.end() || !payload->contains(name)) return std::string();
    return Cell((*payload)[name]);
  };
  std::vector<std::string> cells;
  for (const std::string& name : args.fields) cells.push_back(field(name));
  if (!cells.empty() || payload == hit.end()) return cells;
  return {payload->contains("text") ? field("text") : Cell(*payload)};
}

void PrintHits(const SearchArgs& args, const nlohmann::json& hits) {
  std::vector<std::vector<std::string>> table = {{"rank", "id", "score"}};
  const std::vector<std::string> text = {"text"};
  const std::vector<std::string>& fields = args.fields.empty() ? text : args.fields;
  table[0].insert(table[0].end(), fields.begin(), fields.end());
  for (const nlohmann::json& hit : hits) {
    table.push_back({absl::StrCat(table.size()), Cell(hit["id"]),
                     absl::StrFormat("%.4f", hit["score"].get<float>())});
    for (std::string& cell : FieldCells(args, hit)) table.back().push_back(std::move(cell));
  }
  PrintTable(table);
}

nlohmann::json WhyNotJson(const funnel::WhyNot& why) {
  nlohmann::json stages = nlohmann::json::array();
  for (const auto& stage : why.stages)
    stages.push_back({{"rank", stage.rank}, {"score", stage.score}});
  return {
      {"id", ToJson(why.id)}, {"found", why.found}, {"lost_at", why.lost_at}, {"stages", stages}};
}

void PrintWhyNot(const funnel::WhyNot& why) {
  if (!why.found) {
    std::printf("%s: not in the collection\n", why.id.ToString().c_str());
    return;
  }
  std::string line =
      absl::StrCat(why.id.ToString(), ": ",
                   why.lost_at < 0 ? "in the result" : absl::StrCat("lost at stage ", why.lost_at));
  for (const auto& stage : why.stages) {
    absl::StrAppend(&line, "; rank ", stage.rank < 0 ? "-" : absl::StrCat(stage.rank), " score ",
                    absl::StrFormat("%.4f", stage.score));
  }
  std::puts(line.c_str());
}

absl::Status Print(const SearchArgs& args, const funnel::View& view,
                   const funnel::ChosenPlan& chosen, const funnel::Output& output) {
  nlohmann::json hits = nlohmann::json::array();
  for (const funnel::Hit& hit : output.hits) {
    MRL_ASSIGN_OR_RETURN(nlohmann::json json, HitJson(view, hit));
    hits.push_back(std::move(json));
  }
  if (args.json) {
    nlohmann::json json = {{"plan", chosen.plan.ToText()}, {"hits", hits}};
    if (chosen.version > 0) {
      json["profile"] = chosen.profile;
      json["profile_version"] = chosen.version;
    }
    if (args.explain) json["trace"] = ToJson(output.trace);
    for (const auto& why : output.trace.why_not) json["why_not"].push_back(WhyNotJson(why));
    PrintJson(json);
    return absl::OkStatus();
  }
  PrintHits(args, hits);
  if (args.explain) {
    const std::string profile = chosen.version == 0 ? ""
                                                    : absl::StrCat(" of profile ", chosen.profile,
                                                                   " version ", chosen.version);
    std::printf("\nplan %s%s\n", chosen.plan.ToText().c_str(), profile.c_str());
    PrintStages(output.trace);
  }
  for (const auto& why : output.trace.why_not) PrintWhyNot(why);
  return absl::OkStatus();
}

absl::Status Search(const SearchArgs& args) {
  CatchInterrupts();
  MRL_ASSIGN_OR_RETURN(const OpenedIndex opened, OpenIndex(args.index, args.open));
  const collection::Collection& collection = *opened.collection;
  MRL_ASSIGN_OR_RETURN(const Asked asked, ReadQuery(args, collection));
  MRL_ASSIGN_OR_RETURN(
      funnel::ChosenPlan chosen,
      PlanFor(collection, collection.profiles(), {args.funnel, args.profile, args.exact}, args.k,
              static_cast<uint32_t>(asked.vector.size())));
  if (args.adaptive_keep) {
    MRL_RETURN_IF_ERROR(LearnKeep(collection, static_cast<uint32_t>(asked.vector.size()),
                                  *args.adaptive_keep, /*threads=*/1, &chosen.plan)
                            .status());
  }
  funnel::View view = collection.view();
  if (!args.filter.empty()) {
    MRL_ASSIGN_OR_RETURN(const filter::Expression parsed, filter::ParseExpression(args.filter));
    MRL_ASSIGN_OR_RETURN(const filter::Filter filter,
                         filter::Filter::Make(parsed, collection.schema().fields));
    view = funnel::Narrow(view, filter);
    chosen.plan = funnel::NarrowPlan(chosen.plan, view.schema, view.rows(), collection.rows());
  }
  std::vector<PointId> why_not;
  for (const std::string& text : args.why_not) {
    MRL_ASSIGN_OR_RETURN(const PointId id, ParseId(collection.view(), text));
    why_not.push_back(id);
  }
  funnel::RunOptions options;
  options.leave_out = asked.self;
  options.why_not = why_not;
  options.stopped = Interrupted;
  MRL_ASSIGN_OR_RETURN(const funnel::Output output,
                       funnel::Run(view, chosen.plan, asked.vector, options));
  return Print(args, view, chosen, output);
}

constexpr char kExamples[] = R"(Examples:
  mrl-index search --index INDEX --id dog.n.01 -k 5 --explain
  mrl-index search --index INDEX --vector queries.npy --row 3 --funnel 16:200,64:50,512:10 --json
  mrl-index search --index INDEX --id 17 --funnel 16:20,512:10 --why-not 18 19)";

}  // namespace

void AddSearch(CLI::App& app, Verb* verb) {
  auto args = std::make_shared<SearchArgs>();
  CLI::App* search = app.add_subcommand("search", "Find the nearest points of one query");
  search->add_option("--index", args->index, "Collection directory")->required();
  search->footer(kExamples);
  CLI::Option_group* query = search->add_option_group("Query", "One of the two");
  query->add_option("--id", args->id, "Search by a stored point; it is left out of the result");
  CLI::Option* vector =
      query->add_option("--vector", args->vector, "Search by a row of this embedding file");
  query->require_option(1);
  search->add_option("--row", args->row, "Row of --vector, from 0")->needs(vector);
  search->add_option("-k", args->k, "Points wanted, 1 to 10000")->capture_default_str();
  CLI::Option* funnel =
      search->add_option("--funnel", args->funnel, "Such as 16:200,32:100,64:50,512:10");
  CLI::Option* profile =
      search->add_option("--profile", args->profile, "A profile of the index; else its default")
          ->excludes(funnel);
  AddGpuFlag(*search, &args->open.gpu);
  AddHotDimsFlag(*search, &args->open.hot_dims);
  CLI::Option* exact =
      search->add_flag("--exact", args->exact, "Compare with every row at full dimension")
          ->excludes(funnel)
          ->excludes(profile);
  CLI::Option* filter = search->add_option(
      "--filter", args->filter, "Only points that match, such as 'year >= 2000 AND lang = \"en\"'");
  AddAdaptiveKeepFlag(*search, &args->adaptive_keep)->excludes(exact)->excludes(filter);
  search->add_flag("--explain", args->explain, "Print what each stage did");
  search->add_option("--why-not", args->why_not, "Ids to follow through the stages");
  search->add_flag("--include-self", args->include_self, "Let the point itself be a result");
  search
      ->add_option("--fields", args->fields,
                   "Payload fields to print, with commas; default: text, or the whole payload")
      ->delimiter(',');
  search->add_flag("--json", args->json, "Print JSON, with whole payloads");
  search->callback([args, verb] { *verb = [args] { return Search(*args); }; });
}

}  // namespace mrl::cli
