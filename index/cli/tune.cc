// mrl-index tune: the cheapest funnel that reaches a recall on one's own queries.
#include <cstdio>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "index/cli/asked.h"
#include "index/cli/command.h"
#include "index/cli/open_index.h"
#include "index/cli/output.h"
#include "index/cli/progress.h"
#include "index/cli/save_profile.h"
#include "index/cli/try_kinds.h"
#include "index/tune/certificate.h"
#include "index/tune/measure.h"
#include "index/tune/tuner.h"
#include "index/tune/view_subject.h"

namespace mrl::cli {
namespace {

struct TuneArgs {
  std::string index, queries, truth, save;
  tune::TuneOptions options;
  uint64_t limit = 0;
  uint32_t threads = 0, hot_dims = 0;
  bool build = false, make_default = false, json = false;
};

nlohmann::json ToJson(const tune::Measured& measured) {
  return {{"funnel", measured.plan.ToText()},
          {"recall", measured.recall},
          {"interval", {measured.interval.low, measured.interval.high}},
          {"qps", measured.qps()},
          {"mean_ms", measured.times.mean_ms},
          {"p50_ms", measured.times.p50_ms},
          {"p99_ms", measured.times.p99_ms},
          {"mean_bytes", measured.mean_bytes}};
}

nlohmann::json ResultJson(const TuneArgs& args, const tune::TuneResult& result,
                          const std::vector<double>& lost) {
  nlohmann::json json = ToJson(result.held_out);
  json["k"] = args.options.k;
  if (args.options.target_p99_ms > 0) {
    json["target_p99_ms"] = args.options.target_p99_ms;
  } else if (args.options.target_bytes > 0) {
    json["target_bytes"] = args.options.target_bytes;
  } else {
    json["target_recall"] = args.options.target_recall;
  }
  json["reached"] = result.reached;
  json["lost"] = lost;
  json["tuning"] = ToJson(result.tuning);
  json["queries"] = {{"tuning", result.tuning_queries.size()},
                     {"held_out", result.held_out_queries.size()}};
  json["seed"] = args.options.seed;
  json["tried"] = result.tried;
  json["front"] = nlohmann::json::array();
  for (const tune::Measured& point : result.front) json["front"].push_back(ToJson(point));
  return json;
}

std::vector<std::string> TableRow(const std::string& what, const tune::Measured& measured) {
  return {what,
          measured.plan.ToText(),
          absl::StrFormat("%.4f", measured.recall),
          absl::StrFormat("%.4f-%.4f", measured.interval.low, measured.interval.high),
          absl::StrFormat("%.0f", measured.qps()),
          absl::StrFormat("%.3f", measured.times.mean_ms),
          absl::StrFormat("%.3f", measured.times.p99_ms)};
}

void PrintText(const TuneArgs& args, const tune::TuneResult& result,
               const std::vector<double>& lost) {
  std::printf("%zu funnels ran; %zu queries tuned, %zu others checked; one query at a time\n",
              result.tried, result.tuning_queries.size(), result.held_out_queries.size());
  std::vector<std::vector<std::string>> table = {
      {"", "funnel", absl::StrCat("recall@", args.options.k), "95 %", "qps", "mean ms", "p99 ms"}};
  for (const tune::Measured& point : result.front) table.push_back(TableRow("front", point));
  table.push_back(TableRow("chosen", result.tuning));
  table.push_back(TableRow("held out", result.held_out));
  PrintTable(table);
  std::string stages;
  for (const double share : lost) absl::StrAppendFormat(&stages, " %.4f", share);
  std::printf("lost per stage, held out:%s\n", stages.c_str());
  if (!result.reached) {
    std::puts(args.options.has_budget()
                  ? "No funnel is that cheap here; this one comes nearest."
                  : "No funnel reaches the target surely on these queries; this one comes "
                    "nearest. More queries narrow the interval.");
  }
}

// What the tuned funnel is, for the note of its profile.
std::string Note(const TuneArgs& args, const tune::TuneResult& result) {
  const std::string target =
      args.options.target_p99_ms > 0 ? absl::StrCat("p99 ", args.options.target_p99_ms, " ms")
      : args.options.target_bytes > 0
          ? absl::StrCat(args.options.target_bytes, " bytes")
          : absl::StrCat("recall@", args.options.k, " ", args.options.target_recall);
  return absl::StrFormat("tuned to %s; held-out recall %.4f (%.4f-%.4f, %d queries)", target,
                         result.held_out.recall, result.held_out.interval.low,
                         result.held_out.interval.high, result.held_out_queries.size());
}

// Saves what reached its target, where a name was given. `*saved` is the version, or 0.
absl::Status SaveTuned(const TuneArgs& args, const tune::TuneResult& result,
                       const std::vector<double>& lost, uint32_t* saved) {
  if (args.save.empty()) return absl::OkStatus();
  if (!result.reached) {
    return absl::FailedPreconditionError(absl::StrCat("no funnel reaches the target, so profile '",
                                                      args.save, "' was not saved; the nearest is ",
                                                      result.held_out.plan.ToText()));
  }
  funnel::Certificate certificate = tune::ToCertificate(result.held_out, lost, args.options.seed);
  MRL_ASSIGN_OR_RETURN(const OpenedIndex opened,
                       OpenIndex(args.index, {.hot_dims = args.hot_dims}));
  Bind(*opened.collection, &certificate);
  MRL_ASSIGN_OR_RETURN(*saved, SaveProfile(args.index, result.held_out.plan,
                                           {.name = args.save,
                                            .note = Note(args, result),
                                            .certificate = std::move(certificate),
                                            .make_default = args.make_default}));
  return absl::OkStatus();
}

// What one run of the tuner found.
struct Outcome {
  tune::TuneResult result;
  std::vector<double> lost;  // per stage, by the held-out queries
};

absl::StatusOr<Outcome> TuneOnce(const TuneArgs& args) {
  MRL_ASSIGN_OR_RETURN(const OpenedIndex opened,
                       OpenIndex(args.index, {.hot_dims = args.hot_dims}));
  const collection::Collection& collection = *opened.collection;
  MRL_ASSIGN_OR_RETURN(const Queries queries,
                       ReadQueries(args.queries, collection.schema(), 0, args.limit));
  const auto threads = static_cast<uint32_t>(args.options.threads);
  if (args.truth.empty()) std::fputs("finding the true neighbours by exact search\n", stderr);
  MRL_ASSIGN_OR_RETURN(tune::Subject subject,
                       MakeSubject(collection, queries, args.truth, args.options.k, threads));
  subject.params = tune::ParamsToTry(collection.view());
  Outcome outcome;
  MRL_ASSIGN_OR_RETURN(outcome.result, tune::Tune(subject, args.options, ShowParts()));
  const tune::Measured& held_out = outcome.result.held_out;
  MRL_ASSIGN_OR_RETURN(outcome.lost,
                       tune::LossPerStage(subject, LostAt(collection, queries), held_out.plan,
                                          outcome.result.held_out_queries, held_out.recalls,
                                          args.options.k, args.options.threads));
  return outcome;
}

// Within a budget the higher recall is better, otherwise the shorter time; what reaches the target
// is better than what does not.
bool IsWorthBuilding(const TuneArgs& args, const tune::TuneResult& built,
                     const tune::TuneResult& best) {
  if (built.reached != best.reached) return built.reached;
  if (args.options.has_budget() || !best.reached) {
    return 1 - built.tuning.recall < kWorthBuilding * (1 - best.tuning.recall);
  }
  return built.tuning.times.mean_ms < kWorthBuilding * best.tuning.times.mean_ms;
}

absl::StatusOr<Outcome> TuneBuilding(const TuneArgs& args) {
  MRL_ASSIGN_OR_RETURN(Outcome best, TuneOnce(args));
  size_t tried = best.result.tried;
  const auto is_better = [&](const std::string& kind) -> absl::StatusOr<bool> {
    MRL_ASSIGN_OR_RETURN(Outcome built, TuneOnce(args));
    tried += built.result.tried;
    const tune::Measured& found = built.result.tuning;
    // A scan that was faster this time is no reason to keep an index beside it.
    const bool is_worth_it =
        found.plan.kind == kind && IsWorthBuilding(args, built.result, best.result);
    std::fprintf(stderr, "%s: %s, recall %.4f, %.3f ms: %s\n", kind.c_str(),
                 found.plan.ToText().c_str(), found.recall, found.times.mean_ms,
                 is_worth_it ? "better" : "not worth an index");
    if (is_worth_it) best = std::move(built);
    return is_worth_it;
  };
  MRL_RETURN_IF_ERROR(
      TryKinds(args.index, {.threads = static_cast<uint32_t>(args.options.threads)}, is_better));
  best.result.tried = tried;
  return best;
}

absl::Status Tune(TuneArgs args) {
  CatchInterrupts();
  MRL_RETURN_IF_ERROR(args.options.Validate());
  args.options.threads = Threads(args.threads);
  MRL_ASSIGN_OR_RETURN(const Outcome outcome, args.build ? TuneBuilding(args) : TuneOnce(args));
  uint32_t saved = 0;
  absl::Status save_status = SaveTuned(args, outcome.result, outcome.lost, &saved);
  if (args.json) {
    nlohmann::json json = ResultJson(args, outcome.result, outcome.lost);
    if (saved > 0) json["profile"] = {{"name", args.save}, {"version", saved}};
    PrintJson(json);
  } else {
    PrintText(args, outcome.result, outcome.lost);
    if (saved > 0) std::printf("saved as profile %s version %u\n", args.save.c_str(), saved);
  }
  return save_status;
}

constexpr char kExamples[] = R"(Examples:
  mrl-index tune --index INDEX --queries queries.npy --target-recall 0.95 -k 10
  mrl-index tune --index INDEX --queries queries.npy --target-p99-ms 2 --json
  mrl-index tune --index INDEX --queries queries.npy --save text95 --default
  mrl-index tune --index INDEX --queries queries.npy --build
Half of the queries tune, the other half checks what is reported; times are of one query at a time.
A funnel reaches the target when the lower end of its 95 % interval does, on the tuning half.)";

}  // namespace

void AddTune(CLI::App& app, Verb* verb) {
  auto args = std::make_shared<TuneArgs>();
  CLI::App* tune = app.add_subcommand("tune", "Find the cheapest funnel that reaches a recall");
  tune->footer(kExamples);
  tune->add_option("--index", args->index, "Collection directory")->required();
  AddHotDimsFlag(*tune, &args->hot_dims);
  tune->add_option("--queries", args->queries, "Embedding file of queries")->required();
  CLI::Option* recall =
      tune->add_option("--target-recall", args->options.target_recall, "Above 0, at most 1")
          ->capture_default_str();
  CLI::Option* p99 =
      tune->add_option("--target-p99-ms", args->options.target_p99_ms,
                       "Instead: the best recall whose 99th percentile is at most this")
          ->check(CLI::PositiveNumber)
          ->excludes(recall);
  tune->add_option("--target-bytes", args->options.target_bytes,
                   "Instead: the best recall that reads at most so many bytes a query")
      ->check(CLI::PositiveNumber)
      ->excludes(recall)
      ->excludes(p99);
  tune->add_option("-k", args->options.k, "Points wanted, 1 to 10000")->capture_default_str();
  tune->add_option("--truth", args->truth,
                   "npy (i4, i8) of true rows in build order; default: exact search, "
                   "whose result is kept for the next run");
  tune->add_option("--limit", args->limit, "Use at most so many queries");
  tune->add_option("--threads", args->threads,
                   "Workers that find the truth and recalls; default all cores")
      ->check(CLI::Range(1, 256));
  tune->add_option("--seed", args->options.seed, "Of the split and the intervals")
      ->capture_default_str();
  tune->add_flag(
      "--build", args->build,
      "Build the kinds that are missing, ivf_scan, graph and faiss HNSW32, one after the other; "
      "one that is at least a tenth better stays");
  CLI::Option* save =
      tune->add_option("--save", args->save, "Save what reached the target as this profile");
  tune->add_flag("--default", args->make_default, "Make the profile the default")->needs(save);
  tune->add_flag("--json", args->json, "One JSON object");
  tune->callback([args, verb] { *verb = [args] { return Tune(*args); }; });
}

}  // namespace mrl::cli
