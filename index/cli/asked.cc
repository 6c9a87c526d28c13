#include "index/cli/asked.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/check.h"
#include "base/status.h"
#include "index/cli/command.h"
#include "index/cli/truth_cache.h"
#include "index/coarse/level_scorer.h"
#include "index/io/npy.h"
#include "index/transform/transform.h"

namespace mrl::cli {
namespace {

using Clock = std::chrono::steady_clock;

double MillisSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

uint64_t FirstRow(const funnel::View::Part& part) {
  return part.segment->info().first_sequence - 1;
}

// Runs queries [begin, end) as one tile; the time of each is the tile's.
absl::Status RunOne(const funnel::View& view, const funnel::Plan& plan, const Queries& queries,
                    size_t begin, size_t end, Measured* measured) {
  std::vector<funnel::TileQuery> tile;
  for (size_t i = begin; i < end; ++i) tile.push_back({queries.row(i), {.stopped = Interrupted}});
  const auto start = Clock::now();
  std::vector<absl::StatusOr<funnel::Output>> outputs = funnel::RunTile(view, plan, tile);
  const double millis = MillisSince(start);
  for (size_t i = begin; i < end; ++i) {
    measured->millis[i] = millis;
    absl::StatusOr<funnel::Output>& output = outputs[i - begin];
    if (!output.ok()) return Annotate(output.status(), absl::StrCat("query ", i));
    measured->outputs[i] = *std::move(output);
  }
  return absl::OkStatus();
}

using RowLists = std::vector<std::vector<uint64_t>>;  // per query, best first

absl::StatusOr<RowLists> GivenTruth(const funnel::View& view, const Queries& queries,
                                    const std::string& path, uint32_t k) {
  MRL_ASSIGN_OR_RETURN(const auto truth, ReadTruth(path, queries.rows, k));
  RowLists lists(truth.size());
  for (size_t i = 0; i < truth.size(); ++i) {
    for (const int64_t row : absl::MakeConstSpan(truth[i]).first(k)) {
      if (row < 0) continue;
      if (!HasRow(view, static_cast<uint64_t>(row))) {
        return absl::InvalidArgumentError(
            absl::StrCat(path, ": query ", i, " has row ", row, ", which the collection has not"));
      }
      lists[i].push_back(static_cast<uint64_t>(row));
    }
  }
  return lists;
}

bool HasRows(const funnel::View& view, const RowLists& lists) {
  return std::all_of(lists.begin(), lists.end(), [&](const std::vector<uint64_t>& rows) {
    return std::all_of(rows.begin(), rows.end(), [&](uint64_t row) { return HasRow(view, row); });
  });
}

absl::StatusOr<RowLists> FoundTruth(const collection::Collection& collection,
                                    const Queries& queries, uint32_t k, uint32_t threads) {
  const TruthCache cache(collection, queries, k);
  if (auto kept = cache.Find(); kept && HasRows(collection.view(), *kept)) return *std::move(kept);
  MRL_ASSIGN_OR_RETURN(const funnel::ChosenPlan chosen,
                       PlanFor(collection, {}, {.exact = true}, k, queries.dims));
  MRL_ASSIGN_OR_RETURN(const Measured exact,
                       RunAll(collection.view(), chosen.plan, queries, threads, 1));
  RowLists lists(queries.rows);
  for (size_t i = 0; i < queries.rows; ++i) {
    for (const funnel::Hit& hit : exact.outputs[i].hits) {
      lists[i].push_back(RowNumber(collection.view(), hit.at));
    }
  }
  cache.Keep(lists);
  return lists;
}

}  // namespace

bool HasRow(const funnel::View& view, uint64_t row) {
  for (const funnel::View::Part& part : view.parts) {
    if (row >= FirstRow(part) && row - FirstRow(part) < part.segment->rows()) return true;
  }
  return false;
}

uint64_t RowNumber(const funnel::View& view, const funnel::Location& at) {
  return FirstRow(view.parts[at.part]) + at.row;
}

funnel::Location LocationOf(const funnel::View& view, uint64_t row) {
  for (uint32_t part = 0; part < view.parts.size(); ++part) {
    const uint64_t first = FirstRow(view.parts[part]);
    if (row >= first && row - first < view.parts[part].segment->rows()) {
      return {part, static_cast<uint32_t>(row - first)};
    }
  }
  CHECK(false && "the row is not in the view");
  return {};
}

std::vector<tune::Scored> ScoredRows(const funnel::View& view, const funnel::Output& output) {
  std::vector<tune::Scored> rows;
  for (const funnel::Hit& hit : output.hits) rows.push_back({RowNumber(view, hit.at), hit.score});
  return rows;
}

absl::StatusOr<std::vector<tune::Scored>> ScoredInFull(const funnel::View& view,
                                                       absl::Span<const float> query,
                                                       const std::vector<uint64_t>& rows) {
  std::vector<float> prefix(query.size());
  transform::Apply(view.schema, query.data(), query.size(), prefix.data());
  const auto level = static_cast<size_t>(view.schema.LevelOf(static_cast<uint32_t>(query.size())));
  std::vector<coarse::LevelScorer> scorers;
  for (const auto& part : view.parts) scorers.emplace_back(*part.segment, prefix.data(), level);
  std::vector<tune::Scored> scored;
  for (const uint64_t row : rows) {
    const funnel::Location at = LocationOf(view, row);
    const store::Segment& segment = *view.parts[at.part].segment;
    MRL_RETURN_IF_ERROR(segment.Fetch(0, level, {&at.row, 1}));
    const float key = scorers[at.part].Key(at.row, level);
    MRL_RETURN_IF_ERROR(segment.CheckRead(level));
    scored.push_back({row, coarse::ScoreOfKey(view.schema.metric, key)});
  }
  return scored;
}

absl::StatusOr<Measured> RunAll(const funnel::View& view, const funnel::Plan& plan,
                                const Queries& queries, uint32_t threads, size_t tile) {
  tile = std::min(tile, funnel::TileMax(plan));
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
  measured.seconds = MillisSince(start) / 1000;
  MRL_RETURN_IF_ERROR(failed);
  return measured;
}

absl::StatusOr<std::vector<std::vector<int64_t>>> ReadTruth(const std::string& path, size_t queries,
                                                            uint32_t k) {
  MRL_ASSIGN_OR_RETURN(const auto file, FileSystem::Posix().Open(path));
  MRL_ASSIGN_OR_RETURN(const io::NpyHeader header, io::ReadNpyHeader(*file, path, {"<i4", "<i8"}));
  if (header.shape.size() != 2 || header.shape[0] < queries || header.shape[1] < k) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " needs 2 axes, at least ", queries, " rows and k = ", k, " columns"));
  }
  const uint64_t columns = header.shape[1];
  std::vector<std::byte> bytes(queries * columns * header.element_bytes);
  MRL_RETURN_IF_ERROR(file->ReadAt(header.data_offset, absl::MakeSpan(bytes)));
  std::vector<std::vector<int64_t>> truth;
  for (size_t i = 0; i < queries; ++i) {
    std::vector<int64_t> rows(columns);
    for (size_t j = 0; j < columns; ++j) {
      const std::byte* at = bytes.data() + (i * columns + j) * header.element_bytes;
      int32_t narrow = 0;
      std::memcpy(&narrow, at, sizeof(narrow));
      rows[j] = narrow;
      if (header.element_bytes == 8) std::memcpy(&rows[j], at, sizeof(int64_t));
    }
    truth.push_back(std::move(rows));
  }
  return truth;
}

absl::StatusOr<tune::Subject> MakeSubject(const collection::Collection& collection,
                                          const Queries& queries, const std::string& truth_path,
                                          uint32_t k, uint32_t threads) {
  tune::Subject subject;
  subject.plan = collection.plan_input();
  subject.plan.query_dims = queries.dims;
  subject.rows = collection.rows();
  MRL_ASSIGN_OR_RETURN(const RowLists truth,
                       truth_path.empty() ? FoundTruth(collection, queries, k, threads)
                                          : GivenTruth(collection.view(), queries, truth_path, k));
  for (size_t i = 0; i < truth.size(); ++i) {
    MRL_ASSIGN_OR_RETURN(std::vector<tune::Scored> scored,
                         ScoredInFull(collection.view(), queries.row(i), truth[i]));
    subject.truth.push_back(std::move(scored));
  }
  subject.search = [&collection, &queries](const funnel::Plan& plan,
                                           size_t query) -> absl::StatusOr<tune::Answer> {
    funnel::RunOptions options;
    options.stopped = Interrupted;
    const auto start = Clock::now();
    MRL_ASSIGN_OR_RETURN(funnel::Output output,
                         funnel::Run(collection.view(), plan, queries.row(query), options));
    tune::Answer answer;
    answer.millis = MillisSince(start);
    answer.rows = ScoredRows(collection.view(), output);
    answer.stages = std::move(output.trace.stages);
    return answer;
  };
  return subject;
}

tune::LostAtFn LostAt(const collection::Collection& collection, const Queries& queries) {
  return
      [&collection, &queries](const funnel::Plan& plan, size_t query,
                              absl::Span<const uint64_t> rows) -> absl::StatusOr<std::vector<int>> {
        const funnel::View& view = collection.view();
        std::vector<PointId> ids;
        for (const uint64_t row : rows) {
          const funnel::Location at = LocationOf(view, row);
          ids.push_back(view.parts[at.part].segment->Id(at.row));
        }
        funnel::RunOptions options;
        options.stopped = Interrupted;
        options.why_not = ids;
        MRL_ASSIGN_OR_RETURN(const funnel::Output output,
                             funnel::Run(view, plan, queries.row(query), options));
        std::vector<int> stages;
        for (const funnel::WhyNot& why : output.trace.why_not) stages.push_back(why.lost_at);
        return stages;
      };
}

CLI::Option* AddAdaptiveKeepFlag(CLI::App& verb, std::optional<double>* share) {
  const auto above_zero = [](const std::string& text) {
    double value = 0;
    const bool good = absl::SimpleAtod(text, &value) && value > 0 && value <= 1;
    return good ? std::string() : absl::StrCat("it is ", text, "; above 0 to 1 is accepted");
  };
  return verb
      .add_option_function<double>(
          "--adaptive-keep", [share](double value) { *share = value; },
          "Leave out candidates where a stage ranks clearly, as learned from points of the index; "
          "the share of the funnel's result that is to stay, above 0 to 1")
      ->check(CLI::Validator(above_zero, ""));
}

absl::StatusOr<tune::KeepRule> LearnKeep(const collection::Collection& collection, uint32_t dims,
                                         double share, uint32_t threads, funnel::Plan* plan) {
  MRL_ASSIGN_OR_RETURN(tune::KeepRule rule, tune::LearnKeep(collection.view(), *plan, dims, share,
                                                            threads, Interrupted));
  plan->slacks = rule.slacks;
  return rule;
}

}  // namespace mrl::cli
