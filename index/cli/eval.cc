// mrl-index eval: recall@k of funnels against exact full-dimension search, and what they cost.
#include <algorithm>
#include <cstdio>
#include <numeric>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "index/cli/asked.h"
#include "index/cli/command.h"
#include "index/cli/eval_labels.h"
#include "index/cli/found_rows.h"
#include "index/cli/open_index.h"
#include "index/cli/output.h"
#include "index/tune/interval.h"
#include "index/tune/measure.h"
#include "index/tune/recall.h"

namespace mrl::cli {
namespace {

struct EvalArgs {
  std::string index, queries, truth, labels, found;
  uint64_t sample = 1000;
  std::vector<std::string> funnels, profiles;
  uint32_t k = 10;
  uint64_t limit = 0;
  uint32_t threads = 1;
  uint32_t in_flight = 0;
  std::optional<double> adaptive_keep;
  bool exact = false, json = false;
  OpenFlags open;
};

// Queries that a worker may run as one tile: its share of those in flight.
size_t TileOf(const EvalArgs& args) { return std::max<size_t>(args.in_flight / args.threads, 1); }

// True neighbours: with their scores where the engine found them, by row alone from a file.
struct Truth {
  tune::Subject subject;
  std::vector<std::vector<int64_t>> rows;  // of a truth file
};

absl::StatusOr<Truth> FindTruth(const EvalArgs& args, const collection::Collection& collection,
                                const Queries& queries) {
  Truth truth;
  if (args.truth.empty()) {
    MRL_ASSIGN_OR_RETURN(truth.subject, MakeSubject(collection, queries, "", args.k, args.threads));
    return truth;
  }
  MRL_ASSIGN_OR_RETURN(truth.rows, ReadTruth(args.truth, queries.rows, args.k));
  for (const std::vector<int64_t>& rows : truth.rows) {
    auto& known = truth.subject.truth.emplace_back();
    for (const int64_t row : absl::MakeConstSpan(rows).first(args.k)) {
      // What is not in the collection is lost, but at no stage.
      if (row < 0 || !HasRow(collection.view(), static_cast<uint64_t>(row))) continue;
      known.push_back({static_cast<uint64_t>(row), 0});
    }
  }
  return truth;
}

std::vector<uint64_t> RowsOf(const funnel::View& view, const funnel::Output& output) {
  std::vector<uint64_t> rows;
  rows.reserve(output.hits.size());
  for (const funnel::Hit& hit : output.hits) rows.push_back(RowNumber(view, hit.at));
  return rows;
}

absl::StatusOr<std::vector<double>> Recalls(const EvalArgs& args,
                                            const collection::Collection& collection,
                                            const Queries& queries, const Measured& measured,
                                            const Truth& truth) {
  const bool larger = LargerIsNearer(collection.schema().metric);
  std::vector<double> recalls;
  for (size_t i = 0; i < measured.outputs.size(); ++i) {
    const std::vector<uint64_t> rows = RowsOf(collection.view(), measured.outputs[i]);
    if (!truth.rows.empty()) {
      recalls.push_back(tune::RecallAtK(rows, truth.rows[i], args.k));
      continue;
    }
    MRL_ASSIGN_OR_RETURN(const auto found, ScoredInFull(collection.view(), queries.row(i), rows));
    recalls.push_back(tune::RecallAtK(found, truth.subject.truth[i], args.k, larger));
  }
  return recalls;
}

// A plan that is measured.
struct Measurable {
  funnel::Plan plan;
  std::optional<tune::KeepRule> keeps = {};  // whose slacks the plan has
};

// What the certificate of one plan says: recall, its interval, and where the rest was lost.
absl::Status Certify(const EvalArgs& args, const collection::Collection& collection,
                     const Queries& queries, const funnel::Plan& plan, const Measured& measured,
                     const Truth& truth, nlohmann::json* one) {
  MRL_ASSIGN_OR_RETURN(const std::vector<double> recalls,
                       Recalls(args, collection, queries, measured, truth));
  const tune::Interval interval = tune::MeanInterval(recalls, {.unit = 1.0 / args.k});
  std::vector<size_t> all(queries.rows);
  std::iota(all.begin(), all.end(), size_t{0});
  MRL_ASSIGN_OR_RETURN(const std::vector<double> lost,
                       tune::LossPerStage(truth.subject, LostAt(collection, queries), plan, all,
                                          recalls, args.k, args.threads));
  (*one)["recall"] = tune::Mean(recalls);
  (*one)["interval"] = {interval.low, interval.high};
  (*one)["lost"] = lost;
  return absl::OkStatus();
}

// What the stages did in the mean of all queries, and the median of their times. Queries of one
// plan have the same stages.
nlohmann::json Stages(const std::vector<funnel::Output>& outputs) {
  nlohmann::json stages = nlohmann::json::array();
  const auto count = static_cast<double>(outputs.size());
  for (size_t number = 0; number < outputs.front().trace.stages.size(); ++number) {
    double in = 0;
    double out = 0;
    double left_out = 0;
    double bytes = 0;
    double cold_bytes = 0;
    std::vector<double> millis;
    for (const funnel::Output& output : outputs) {
      const funnel::StageTrace& stage = output.trace.stages[number];
      in += static_cast<double>(stage.candidates_in);
      out += static_cast<double>(stage.candidates_out);
      left_out += static_cast<double>(stage.left_out);
      bytes += static_cast<double>(stage.bytes);
      cold_bytes += static_cast<double>(stage.cold_bytes);
      millis.push_back(stage.micros / 1000);
    }
    const funnel::StageTrace& first = outputs.front().trace.stages[number];
    stages.push_back({{"kind", first.kind},
                      {"dims", first.dims},
                      {"bits", first.bits},
                      {"in", in / count},
                      {"out", out / count},
                      {"left_out", left_out / count},
                      {"bytes", bytes / count},
                      {"cold_bytes", cold_bytes / count},
                      {"p50_micros", 1000 * tune::Summarise(millis).p50_ms}});
  }
  return stages;
}

absl::StatusOr<nlohmann::json> Summary(const EvalArgs& args,
                                       const collection::Collection& collection,
                                       const Queries& queries, const Measurable& what,
                                       Measured& measured, const Truth& truth) {
  const funnel::Plan& plan = what.plan;
  double multiply_adds = 0;
  double bytes = 0;
  for (const funnel::Output& output : measured.outputs) {
    multiply_adds += static_cast<double>(output.trace.multiply_adds);
    for (const funnel::StageTrace& stage : output.trace.stages) {
      bytes += static_cast<double>(stage.bytes);
    }
  }
  const auto count = static_cast<double>(measured.outputs.size());
  const auto rows = static_cast<double>(collection.rows());
  const tune::Latencies times = tune::Summarise(measured.millis);
  nlohmann::json one = {
      {"funnel", plan.ToText()},
      {"coarse", plan.exact ? "exact" : plan.kind},
      {"k", args.k},
      {"qps", count / measured.seconds},
      {"mean_ms", times.mean_ms},
      {"p50_ms", times.p50_ms},
      {"p95_ms", times.p95_ms},
      {"p99_ms", times.p99_ms},
      {"multiply_adds", multiply_adds / count},
      {"bytes_touched", bytes / count},
      {"stages", Stages(measured.outputs)},
      {"hot_bytes_per_row", static_cast<double>(collection.hot_bytes()) / rows},
      {"memory_bytes_per_row", static_cast<double>(collection.memory_bytes()) / rows}};
  if (what.keeps) {
    one["adaptive_keep"] = *args.adaptive_keep;
    if (what.keeps->kept) one["adaptive_keep_recall"] = *what.keeps->kept;
  }
  MRL_RETURN_IF_ERROR(Certify(args, collection, queries, plan, measured, truth, &one));
  return one;
}

std::vector<std::string> TableRow(const nlohmann::json& one) {
  const auto number = [&](const char* key, const char* format) {
    return absl::StrFormat(*absl::ParsedFormat<'f'>::New(format), one[key].get<double>());
  };
  std::string name = one["funnel"].get<std::string>();
  if (one.contains("adaptive_keep")) {
    absl::StrAppend(&name, " adaptive ", one["adaptive_keep"].get<double>());
  }
  return {std::move(name),
          number("recall", "%.4f"),
          absl::StrFormat("%.4f-%.4f", one["interval"][0].get<double>(),
                          one["interval"][1].get<double>()),
          number("qps", "%.0f"),
          number("mean_ms", "%.3f"),
          number("p50_ms", "%.3f"),
          number("p95_ms", "%.3f"),
          number("p99_ms", "%.3f"),
          number("multiply_adds", "%.0f"),
          HumanBytes(static_cast<uint64_t>(one["bytes_touched"].get<double>())),
          absl::StrJoin(one["lost"], " ", [](std::string* out, const nlohmann::json& share) {
            absl::StrAppendFormat(out, "%.4f", share.get<double>());
          })};
}

// What adaptive keep did, in a line.
void PrintLeftOut(const nlohmann::json& one) {
  const std::string left_out =
      absl::StrJoin(one["stages"], " ", [](std::string* out, const nlohmann::json& stage) {
        absl::StrAppendFormat(out, "%.1f", stage["left_out"].get<double>());
      });
  const auto kept = one.find("adaptive_keep_recall");
  const std::string promise =
      kept == one.end() ? "it was not learned: too few points"
                        : absl::StrFormat("kept %.4f of the funnel's result on points of the index",
                                          kept->get<double>());
  std::printf("%s adaptive %g: left out per stage, in the mean: %s; %s\n",
              one["funnel"].get<std::string>().c_str(), one["adaptive_keep"].get<double>(),
              left_out.c_str(), promise.c_str());
}

// The plans asked for: each --funnel, each --profile, --exact; or what a search gets that asks for
// nothing, where none is given. With --adaptive-keep each is followed by itself with slacks.
absl::StatusOr<std::vector<Measurable>> Plans(const EvalArgs& args, const OpenedIndex& index,
                                              uint32_t query_dims) {
  std::vector<AskedPlan> all;
  for (const std::string& text : args.funnels) all.push_back({.funnel = text});
  for (const std::string& name : args.profiles) all.push_back({.profile = name});
  if (args.exact || all.empty()) all.push_back({.exact = args.exact});
  std::vector<Measurable> plans;
  for (const AskedPlan& asked : all) {
    MRL_ASSIGN_OR_RETURN(
        funnel::ChosenPlan chosen,
        PlanFor(*index.collection, index.collection->profiles(), asked, args.k, query_dims));
    plans.push_back({.plan = chosen.plan});
    if (!args.adaptive_keep || chosen.plan.stages.size() < 2) continue;
    MRL_ASSIGN_OR_RETURN(
        tune::KeepRule keeps,
        LearnKeep(*index.collection, query_dims, *args.adaptive_keep, args.threads, &chosen.plan));
    plans.push_back({.plan = std::move(chosen.plan), .keeps = std::move(keeps)});
  }
  return plans;
}

absl::Status Eval(const EvalArgs& args) {
  CatchInterrupts();
  MRL_ASSIGN_OR_RETURN(const OpenedIndex opened, OpenIndex(args.index, args.open));
  const collection::Collection& collection = *opened.collection;
  MRL_ASSIGN_OR_RETURN(const Queries queries,
                       ReadQueries(args.queries, collection.schema(), 0, args.limit));
  MRL_ASSIGN_OR_RETURN(const auto plans, Plans(args, opened, queries.dims));
  MRL_ASSIGN_OR_RETURN(const Truth truth, FindTruth(args, collection, queries));
  std::vector<std::vector<std::string>> table = {{"funnel", "recall", "95 %", "qps", "mean ms",
                                                  "p50 ms", "p95 ms", "p99 ms", "multiply-adds",
                                                  "bytes", "lost per stage"}};
  std::vector<nlohmann::json> adaptive;
  FoundRows found(queries.rows, args.k);
  for (const Measurable& what : plans) {
    MRL_ASSIGN_OR_RETURN(Measured measured,
                         RunAll(collection.view(), what.plan, queries, args.threads, TileOf(args)));
    if (!args.found.empty()) {
      for (const funnel::Output& output : measured.outputs) {
        found.Add(RowsOf(collection.view(), output));
      }
    }
    MRL_ASSIGN_OR_RETURN(const nlohmann::json one,
                         Summary(args, collection, queries, what, measured, truth));
    if (args.json) PrintJson(one);
    table.push_back(TableRow(one));
    if (what.keeps) adaptive.push_back(one);
  }
  if (!args.found.empty()) {
    MRL_RETURN_IF_ERROR(found.Write(args.found));
  }
  if (!args.json) {
    std::printf("recall@%u of %zu queries against %s, %u thread(s)\n", args.k, queries.rows,
                args.truth.empty() ? "exact search" : args.truth.c_str(), args.threads);
    PrintTable(table);
    for (const nlohmann::json& one : adaptive) PrintLeftOut(one);
  }
  return absl::OkStatus();
}

void CheckInFlight(const EvalArgs& args) {
  if (args.in_flight == 0 || args.in_flight >= args.threads) return;
  throw CLI::ValidationError(absl::StrCat("--in-flight is ", args.in_flight,
                                          "; at least --threads = ", args.threads, " is needed"));
}

constexpr char kExamples[] = R"(Examples:
  mrl-index eval --index INDEX --queries queries.npy -k 10
  mrl-index eval --index INDEX --queries queries.npy --funnel 16:200,512:10 --exact --json
  mrl-index eval --index INDEX --queries queries.npy --adaptive-keep 0.99
  mrl-index eval --index INDEX --labels category
  mrl-index eval --index INDEX --queries queries.fvecs --truth truth.npy --threads 4)";

}  // namespace

void AddEval(CLI::App& app, Verb* verb) {
  auto args = std::make_shared<EvalArgs>();
  CLI::App* eval = app.add_subcommand("eval", "Measure recall and cost of funnels");
  eval->footer(kExamples);
  eval->add_option("--index", args->index, "Collection directory")->required();
  CLI::Option_group* what = eval->add_option_group("What", "One of the two");
  what->add_option("--queries", args->queries, "Embedding file of queries");
  CLI::Option* labels = what->add_option(
      "--labels", args->labels,
      "Instead: classify points by their neighbours' values of this payload field");
  what->require_option(1);
  eval->add_option("--sample", args->sample, "Points of --labels: half teach, half are classified")
      ->needs(labels)
      ->check(CLI::Range(2, 1'000'000))
      ->capture_default_str();
  eval->add_option("--truth", args->truth,
                   "npy (i4, i8) of true rows in build order; default: exact search, "
                   "whose result is kept for the next run");
  eval->add_option("-k", args->k, "Points wanted, 1 to 10000")->capture_default_str();
  eval->add_option("--funnel", args->funnels, "A funnel to measure; may be repeated");
  eval->add_option("--profile", args->profiles, "A profile of the index; may be repeated");
  AddGpuFlag(*eval, &args->open.gpu);
  AddHotDimsFlag(*eval, &args->open.hot_dims);
  eval->add_flag("--exact", args->exact, "Measure exact search too");
  AddAdaptiveKeepFlag(*eval, &args->adaptive_keep)->excludes(labels);
  eval->add_option("--limit", args->limit, "Use at most so many queries");
  eval->add_option("--threads", args->threads, "Queries run at a time")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  eval->add_option(
      "--in-flight", args->in_flight,
      "Queries outstanding, at least --threads; up to 16 a thread share one scan of the codes, "
      "64 an exact search");
  eval->add_option(
          "--found", args->found,
          "Write the rows found to this npy file: i8, funnels x queries x k in build order, "
          "-1 where fewer were found")
      ->excludes(labels);
  eval->add_flag(
      "--json", args->json,
      "One JSON object a line and funnel, with what each stage did and the median of its time");
  eval->callback([args, verb] {
    CheckInFlight(*args);
    *verb = [args] {
      if (args->labels.empty()) return Eval(*args);
      return EvalLabels({.index = args->index,
                         .field = args->labels,
                         .k = args->k,
                         .sample = args->sample,
                         .seed = 1,
                         .threads = args->threads,
                         .hot_dims = args->open.hot_dims,
                         .json = args->json});
    };
  });
}

}  // namespace mrl::cli
