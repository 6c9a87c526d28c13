// mrl-index eval: recall@k of funnels against exact full-dimension search, and what they cost.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "base/status.h"
#include "index/cli/command.h"
#include "index/cli/open_index.h"
#include "index/cli/output.h"
#include "index/cli/progress.h"
#include "index/coarse/level_scorer.h"
#include "index/io/npy.h"
#include "index/transform/transform.h"
#include "index/tune/recall.h"

namespace mrl::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct EvalArgs {
  std::string index, queries, truth;
  std::vector<std::string> funnels;
  uint32_t k = 10;
  uint64_t limit = 0;
  uint32_t threads = 1;
  uint32_t in_flight = 0;
  bool exact = false, json = false;
};

// True neighbours as rows in order of the build, best first; scores where the engine found them.
struct Truth {
  std::vector<std::vector<tune::Scored>> scored;
  std::vector<std::vector<int64_t>> rows;  // of a truth file
};

struct Measured {
  std::vector<funnel::Output> outputs;
  std::vector<double> millis;
  double seconds = 0;
};

uint64_t RowNumber(const funnel::View& view, const funnel::Location& at) {
  return view.parts[at.part].segment->info().first_sequence - 1 + at.row;
}

std::vector<tune::Scored> ScoredRows(const funnel::View& view, const funnel::Output& output) {
  std::vector<tune::Scored> rows;
  for (const funnel::Hit& hit : output.hits) rows.push_back({RowNumber(view, hit.at), hit.score});
  return rows;
}

// The rows found, each with its score at the whole query: a funnel that ends at a shorter prefix or
// at codes gives scores that cannot be held against the truth's.
std::vector<tune::Scored> ScoredInFull(const funnel::View& view, absl::Span<const float> query,
                                       const funnel::Output& output) {
  std::vector<float> prefix(query.size());
  transform::Apply(view.schema.transform, query.data(), query.size(), prefix.data());
  const auto level = static_cast<size_t>(view.schema.LevelOf(static_cast<uint32_t>(query.size())));
  std::vector<coarse::LevelScorer> scorers;
  for (const auto& part : view.parts) scorers.emplace_back(*part.segment, prefix.data(), level);
  std::vector<tune::Scored> rows;
  for (const funnel::Hit& hit : output.hits) {
    const float key = scorers[hit.at.part].Key(hit.at.row, level);
    rows.push_back({RowNumber(view, hit.at), coarse::ScoreOfKey(view.schema.metric, key)});
  }
  return rows;
}

// Queries that a worker runs as one tile: its share of those in flight.
size_t TileOf(const EvalArgs& args) {
  return std::clamp<size_t>(args.in_flight / args.threads, 1, funnel::kTileMax);
}

// Runs queries [begin, end) as one tile; the time of each is the tile's.
absl::Status RunOne(const funnel::View& view, const funnel::Plan& plan, const Queries& queries,
                    size_t begin, size_t end, Measured* measured) {
  std::vector<funnel::TileQuery> tile;
  for (size_t i = begin; i < end; ++i) tile.push_back({queries.row(i), {.stopped = Interrupted}});
  const auto start = Clock::now();
  std::vector<absl::StatusOr<funnel::Output>> outputs = funnel::RunTile(view, plan, tile);
  const double millis = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  for (size_t i = begin; i < end; ++i) {
    measured->millis[i] = millis;
    absl::StatusOr<funnel::Output>& output = outputs[i - begin];
    if (!output.ok()) return Annotate(output.status(), absl::StrCat("query ", i));
    measured->outputs[i] = *std::move(output);
  }
  return absl::OkStatus();
}

// Runs all queries with `threads` workers, each taking the next tile.
absl::StatusOr<Measured> RunAll(const funnel::View& view, const funnel::Plan& plan,
                                const Queries& queries, uint32_t threads, size_t tile) {
  Measured measured;
  measured.outputs.resize(queries.rows);
  measured.millis.resize(queries.rows);
  std::atomic<size_t> next{0};
  absl::Mutex mutex;
  absl::Status failed;
  const auto work = [&] {
    for (size_t i = next.fetch_add(tile); i < queries.rows; i = next.fetch_add(tile)) {
      const absl::Status ran =
          RunOne(view, plan, queries, i, std::min(queries.rows, i + tile), &measured);
      if (ran.ok()) continue;
      absl::MutexLock lock(&mutex);
      failed.Update(ran);
      next = queries.rows;  // the other workers stop too
      return;
    }
  };
  const auto start = Clock::now();
  std::vector<std::thread> workers;
  for (uint32_t i = 1; i < threads; ++i) workers.emplace_back(work);
  work();
  for (std::thread& worker : workers) worker.join();
  measured.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  MRL_RETURN_IF_ERROR(failed);
  return measured;
}

absl::Status ReadTruth(const EvalArgs& args, size_t queries, Truth* truth) {
  MRL_ASSIGN_OR_RETURN(const auto file, FileSystem::Posix().Open(args.truth));
  MRL_ASSIGN_OR_RETURN(const io::NpyHeader header,
                       io::ReadNpyHeader(*file, args.truth, {"<i4", "<i8"}));
  if (header.shape.size() != 2 || header.shape[0] < queries || header.shape[1] < args.k) {
    return absl::InvalidArgumentError(absl::StrCat(args.truth, " needs 2 axes, at least ", queries,
                                                   " rows and k = ", args.k, " columns"));
  }
  const uint64_t columns = header.shape[1];
  std::vector<std::byte> bytes(queries * columns * header.element_bytes);
  MRL_RETURN_IF_ERROR(file->ReadAt(header.data_offset, absl::MakeSpan(bytes)));
  for (size_t i = 0; i < queries; ++i) {
    std::vector<int64_t> rows(columns);
    for (size_t j = 0; j < columns; ++j) {
      const std::byte* at = bytes.data() + (i * columns + j) * header.element_bytes;
      int32_t narrow = 0;
      std::memcpy(&narrow, at, sizeof(narrow));
      rows[j] = narrow;
      if (header.element_bytes == 8) std::memcpy(&rows[j], at, sizeof(int64_t));
    }
    truth->rows.push_back(std::move(rows));
  }
  return absl::OkStatus();
}

absl::StatusOr<Truth> FindTruth(const EvalArgs& args, const collection::Collection& collection,
                                const Queries& queries) {
  Truth truth;
  if (!args.truth.empty()) {
    MRL_RETURN_IF_ERROR(ReadTruth(args, queries.rows, &truth));
    return truth;
  }
  MRL_ASSIGN_OR_RETURN(const funnel::Plan plan,
                       PlanFor(collection, "", /*exact=*/true, args.k, queries.dims));
  MRL_ASSIGN_OR_RETURN(const Measured exact,
                       RunAll(collection.view(), plan, queries, args.threads, 1));
  for (const funnel::Output& output : exact.outputs) {
    truth.scored.push_back(ScoredRows(collection.view(), output));
  }
  return truth;
}

double MeanRecall(const EvalArgs& args, const collection::Collection& collection,
                  const Queries& queries, const Measured& measured, const Truth& truth) {
  const bool larger = LargerIsNearer(collection.schema().metric);
  double sum = 0;
  for (size_t i = 0; i < measured.outputs.size(); ++i) {
    const auto found = ScoredInFull(collection.view(), queries.row(i), measured.outputs[i]);
    if (truth.rows.empty()) {
      sum += tune::RecallAtK(found, truth.scored[i], args.k, larger);
      continue;
    }
    std::vector<uint64_t> rows;
    rows.reserve(found.size());
    for (const tune::Scored& one : found) rows.push_back(one.row);
    sum += tune::RecallAtK(rows, truth.rows[i], args.k);
  }
  return sum / static_cast<double>(measured.outputs.size());
}

nlohmann::json Summary(const EvalArgs& args, const collection::Collection& collection,
                       const Queries& queries, const funnel::Plan& plan, Measured& measured,
                       const Truth& truth) {
  double multiply_adds = 0;
  double bytes = 0;
  for (const funnel::Output& output : measured.outputs) {
    multiply_adds += static_cast<double>(output.trace.multiply_adds);
    for (const funnel::StageTrace& stage : output.trace.stages) {
      bytes += static_cast<double>(stage.bytes);
    }
  }
  const auto count = static_cast<double>(measured.outputs.size());
  const double recall = MeanRecall(args, collection, queries, measured, truth);
  const tune::Latencies times = tune::Summarise(measured.millis);
  return {{"funnel", plan.ToText()},
          {"coarse", plan.exact ? "exact" : plan.kind},
          {"k", args.k},
          {"recall", recall},
          {"qps", count / measured.seconds},
          {"mean_ms", times.mean_ms},
          {"p50_ms", times.p50_ms},
          {"p95_ms", times.p95_ms},
          {"p99_ms", times.p99_ms},
          {"multiply_adds", multiply_adds / count},
          {"bytes_touched", bytes / count},
          {"hot_bytes_per_row",
           static_cast<double>(collection.hot_bytes()) / static_cast<double>(collection.rows())}};
}

std::vector<std::string> TableRow(const nlohmann::json& one) {
  const auto number = [&](const char* key, const char* format) {
    return absl::StrFormat(*absl::ParsedFormat<'f'>::New(format), one[key].get<double>());
  };
  return {one["funnel"].get<std::string>(),
          number("recall", "%.4f"),
          number("qps", "%.0f"),
          number("mean_ms", "%.3f"),
          number("p50_ms", "%.3f"),
          number("p95_ms", "%.3f"),
          number("p99_ms", "%.3f"),
          number("multiply_adds", "%.0f"),
          HumanBytes(static_cast<uint64_t>(one["bytes_touched"].get<double>()))};
}

// The plans asked for: each --funnel, --exact, or the built-in rule where neither is given.
absl::StatusOr<std::vector<funnel::Plan>> Plans(const EvalArgs& args,
                                                const collection::Collection& collection,
                                                uint32_t query_dims) {
  std::vector<funnel::Plan> plans;
  for (const std::string& text : args.funnels) {
    MRL_ASSIGN_OR_RETURN(funnel::Plan plan, PlanFor(collection, text, false, args.k, query_dims));
    plans.push_back(std::move(plan));
  }
  if (args.exact || args.funnels.empty()) {
    MRL_ASSIGN_OR_RETURN(funnel::Plan plan,
                         PlanFor(collection, "", args.exact, args.k, query_dims));
    plans.push_back(std::move(plan));
  }
  return plans;
}

absl::Status Eval(const EvalArgs& args) {
  CatchInterrupts();
  MRL_ASSIGN_OR_RETURN(const OpenedIndex opened, OpenIndex(args.index));
  const collection::Collection& collection = *opened.collection;
  MRL_ASSIGN_OR_RETURN(const Queries queries,
                       ReadQueries(args.queries, collection.schema(), 0, args.limit));
  MRL_ASSIGN_OR_RETURN(const auto plans, Plans(args, collection, queries.dims));
  MRL_ASSIGN_OR_RETURN(const Truth truth, FindTruth(args, collection, queries));
  std::vector<std::vector<std::string>> table = {{"funnel", "recall", "qps", "mean ms", "p50 ms",
                                                  "p95 ms", "p99 ms", "multiply-adds", "bytes"}};
  for (const funnel::Plan& plan : plans) {
    MRL_ASSIGN_OR_RETURN(Measured measured,
                         RunAll(collection.view(), plan, queries, args.threads, TileOf(args)));
    const nlohmann::json one = Summary(args, collection, queries, plan, measured, truth);
    if (args.json) PrintJson(one);
    table.push_back(TableRow(one));
  }
  if (!args.json) {
    std::printf("recall@%u of %zu queries against %s, %u thread(s)\n", args.k, queries.rows,
                args.truth.empty() ? "exact search" : args.truth.c_str(), args.threads);
    PrintTable(table);
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
  mrl-index eval --index INDEX --queries queries.fvecs --truth truth.npy --threads 4)";

}  // namespace

void AddEval(CLI::App& app, Verb* verb) {
  auto args = std::make_shared<EvalArgs>();
  CLI::App* eval = app.add_subcommand("eval", "Measure recall and cost of funnels");
  eval->footer(kExamples);
  eval->add_option("--index", args->index, "Collection directory")->required();
  eval->add_option("--queries", args->queries, "Embedding file of queries")->required();
  eval->add_option("--truth", args->truth,
                   "npy (i4, i8) of true rows in build order; default: exact search");
  eval->add_option("-k", args->k, "Points wanted, 1 to 10000")->capture_default_str();
  eval->add_option("--funnel", args->funnels, "A funnel to measure; may be repeated");
  eval->add_flag("--exact", args->exact, "Measure exact search too");
  eval->add_option("--limit", args->limit, "Use at most so many queries");
  eval->add_option("--threads", args->threads, "Queries run at a time")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  eval->add_option(
      "--in-flight", args->in_flight,
      "Queries outstanding, at least --threads; up to 16 a thread share one scan of the codes");
  eval->add_flag("--json", args->json, "One JSON object a line and funnel");
  eval->callback([args, verb] {
    CheckInFlight(*args);
    *verb = [args] { return Eval(*args); };
  });
}

}  // namespace mrl::cli
