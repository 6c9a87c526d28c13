// mrl search: the nearest points to a vector or to a point.
#include <memory>
#include <utility>

#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status.h"
#include "client/cli/command.h"
#include "client/cli/output.h"
#include "client/cli/search_flags.h"

namespace mrl::cli {
namespace {

constexpr uint64_t kVectorFileBytesMax = 16 << 20;

absl::StatusOr<std::vector<float>> ReadVector(const std::string& path) {
  auto text = ReadFile(FileSystem::Posix(), path, kVectorFileBytesMax);
  if (!text.ok()) return LocalFileError(text.status());
  const nlohmann::json parsed = nlohmann::json::parse(*text, nullptr, false);
  if (!parsed.is_array()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": a JSON array of numbers is needed"));
  }
  std::vector<float> vector;
  for (const auto& value : parsed) {
    if (!value.is_number()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": element ", vector.size(), " is not a number"));
    }
    vector.push_back(value.get<float>());
  }
  return vector;
}

// What is nearest after each stage, in a line or a JSON object each.
absl::Status RunProgressive(client::Client& client, const Globals& globals,
                            const SearchFlags& flags) {
  MRL_ASSIGN_OR_RETURN(const client::Query query, flags.ReadQuery());
  client::SearchOptions options = flags.options;
  options.with_payload = true;
  return client.ProgressiveSearch(
      flags.collection, query, options, [&](const client::SearchResult& result) {
        if (globals.json) return PrintJson(ToJson(result));
        const client::Stage& stage = result.stats.stages.back();
        std::printf("after %u dims, %llu candidates:\n", stage.dims,
                    static_cast<unsigned long long>(stage.candidates_out));
        PrintHits(result);
      });
}

absl::Status Run(client::Client& client, const Globals& globals, const SearchFlags& flags) {
  MRL_ASSIGN_OR_RETURN(const client::Query query, flags.ReadQuery());
  client::SearchOptions options = flags.options;
  options.with_payload = true;
  MRL_ASSIGN_OR_RETURN(const client::SearchResult result,
                       client.Search(flags.collection, query, options));
  if (globals.json) {
    PrintJson(ToJson(result));
  } else {
    PrintHits(result);
    std::printf("\n");
    PrintStages(result.stats);
  }
  return absl::OkStatus();
}

}  // namespace

client::Id ParseId(const std::string& text, bool force_text) {
  uint64_t number = 0;
  if (!force_text && absl::SimpleAtoi(text, &number)) return number;
  return text;
}

void SearchFlags::AddTo(CLI::App& verb) {
  verb.add_option("collection,-c,--collection", collection, "Name of the collection")->required();
  auto* by_id = verb.add_option("--id", id, "Search by this point; digits are a number id");
  verb.add_flag("--text-id", text_id, "Digits in --id (and --why-not) are text");
  auto* by_vector =
      verb.add_option("--vector", vector_file, "Search by this vector: a file with a JSON array");
  by_id->excludes(by_vector);
  verb.add_option("-k,--k", options.k, "Points wanted, 1 to 10000")->capture_default_str();
  auto* funnel = verb.add_option("--funnel", options.funnel, "Stages, such as 16:200,64:50,512:10");
  auto* profile = verb.add_option("--profile", options.profile, "A profile of the collection");
  profile->excludes(funnel);
  verb.add_flag("--exact", options.exact, "Compare with every point")
      ->excludes(funnel)
      ->excludes(profile);
  verb.add_option_function<float>(
      "--score-threshold", [this](float value) { options.score_threshold = value; },
      "Only hits at least this near (a minimum; a maximum for l2)");
  verb.add_option("--offset", options.offset, "Hits left out at the front");
  auto* group = verb.add_option("--group-by", options.group_by,
                                "k groups of hits, one for each value of this field");
  verb.add_option("--group-size", options.group_size, "Hits of a group; default 1")->needs(group);
  verb.add_option("--filter", options.filter,
                  "Only points that match, such as 'year >= 2000 AND lang = \"en\"'");
  verb.add_flag("--include-self", options.include_self, "With --id: the point may be a hit");
  verb.add_flag("--with-vector", options.with_vector, "Return vectors too (shown with --json)");
}

void SearchFlags::Check() const {
  if (id.empty() && vector_file.empty()) throw CLI::RequiredError("one of --id and --vector");
}

absl::StatusOr<client::Query> SearchFlags::ReadQuery() const {
  if (!vector_file.empty()) {
    MRL_ASSIGN_OR_RETURN(std::vector<float> vector, ReadVector(vector_file));
    return client::Query(std::move(vector));
  }
  return client::Query(ParseId(id, text_id));
}

void AddSearch(CLI::App& app, Verb* verb) {
  CLI::App* search = app.add_subcommand("search", "Find the nearest points");
  auto flags = std::make_shared<SearchFlags>();
  flags->AddTo(*search);
  const auto progressive = std::make_shared<bool>(false);
  search->add_flag("--progressive", *progressive, "Print the best after each stage");
  search->add_flag("--anytime", flags->options.anytime,
                   "Where --timeout would pass, print what was found by then");
  search->add_option_function<double>(
      "--early-exit", [flags](double share) { flags->options.early_exit = share; },
      "Leave out stages that change less than this share of the result, above 0 to 1");
  search->add_option_function<double>(
      "--adaptive-keep", [flags](double share) { flags->options.adaptive_keep = share; },
      "Leave out candidates where a stage ranks clearly; the share of the result that is to stay, "
      "above 0 to 1");
  search->callback([verb, flags, progressive] {
    flags->Check();
    *verb = [flags, progressive](client::Client& client, const Globals& globals) {
      return *progressive ? RunProgressive(client, globals, *flags) : Run(client, globals, *flags);
    };
  });
}

}  // namespace mrl::cli
