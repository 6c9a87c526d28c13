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
  verb.add_flag("--exact", options.exact, "Compare with every point")->excludes(funnel);
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
  search->callback([verb, flags] {
    flags->Check();
    *verb = [flags](client::Client& client, const Globals& globals) {
      return Run(client, globals, *flags);
    };
  });
}

}  // namespace mrl::cli
