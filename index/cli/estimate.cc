// mrl-index estimate: what a collection will take, before it is built.
#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "index/cli/command.h"
#include "index/cli/open_index.h"
#include "index/cli/output.h"
#include "index/cli/rotate.h"
#include "index/cli/size_model.h"
#include "index/transform/rotation.h"
#include "index/transform/transform.h"

namespace mrl::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct EstimateArgs {
  uint64_t rows = 0;
  uint32_t dim = 0;
  std::string dims, codes, metric = "cosine", storage = "f32", transform = "none", funnel;
  std::string rotate, coarse = "scan";
  uint32_t coarse_dims = 0;
  double id_bytes = 0, payload_bytes = 0;
  uint32_t k = 10;
  bool bytes_only = false, json = false;
};

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

absl::StatusOr<Schema> SchemaOf(const EstimateArgs& args) {
  Schema schema;
  schema.dim = args.dim;
  schema.ladder = DefaultLadder(args.dim);
  if (!args.dims.empty()) {
    MRL_ASSIGN_OR_RETURN(schema.ladder, ParseLadder(args.dims));
  }
  MRL_ASSIGN_OR_RETURN(schema.metric, ParseMetric(args.metric));
  MRL_ASSIGN_OR_RETURN(schema.storage, ParseStorageType(args.storage));
  MRL_ASSIGN_OR_RETURN(schema.transform, ParseTransform(args.transform));
  schema.codes = DefaultCodes(schema.ladder, schema.metric);
  if (!args.codes.empty()) {
    MRL_ASSIGN_OR_RETURN(schema.codes, ParseCodes(args.codes));
  }
  MRL_RETURN_IF_ERROR(schema.Validate());
  if (!args.rotate.empty()) {
    MRL_RETURN_IF_ERROR(transform::CheckLearnable(args.rows, args.dim));
    schema.transform = Transform::kRotation;  // its matrix is learned where times are measured
  }
  return schema;
}

absl::StatusOr<SizeInput> InputOf(const EstimateArgs& args, const Schema& schema) {
  SizeInput input = {schema, args.rows, args.id_bytes, args.payload_bytes};
  if (args.coarse == "scan") return input;
  input.graph = coarse::WithDefaults({.kind = args.coarse, .dims = args.coarse_dims}, schema);
  MRL_RETURN_IF_ERROR(input.graph->Validate(schema));
  return input;
}

// What this machine does with a small collection of the same schema, scaled to all rows.
struct Timing {
  std::string funnel;
  uint64_t rows_measured = 0;
  double build_s = 0;
  double query_ms = 0;
  double scan_ms = 0;  // of query_ms, the first stage
  double bandwidth_gb_s = 0;
  double learn_s = 0;    // a rotation
  double rotate_ms = 0;  // of query_ms
  double graph_s = 0;
};

// A folder that goes with this object.
class Scratch {
 public:
  static absl::StatusOr<Scratch> Make() {
    const char* base = getenv("TMPDIR");
    std::string path =
        JoinPath(base == nullptr || *base == '\0' ? "/tmp" : base, "mrl-estimate-XXXXXX");
    if (mkdtemp(path.data()) == nullptr) return ErrnoStatus(errno, path);
    return Scratch(std::move(path));
  }
  Scratch(Scratch&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  Scratch& operator=(Scratch&&) = delete;
  ~Scratch() {
    if (!path_.empty()) FileSystem::Posix().RemoveTree(path_).IgnoreError();
  }
  std::string operator/(const std::string& name) const { return JoinPath(path_, name); }

 private:
  explicit Scratch(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

std::vector<float> RandomRows(size_t rows, uint32_t dim, uint32_t seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(rows * dim);
  for (float& value : values) value = normal(engine);
  return values;
}

absl::StatusOr<double> BuildSeconds(const EstimateArgs& args, const Schema& schema, uint64_t rows,
                                    const std::string& path) {
  constexpr uint64_t kChunkRows = 2048;
  collection::BuildOptions options;
  options.rows_expected = rows;
  MRL_ASSIGN_OR_RETURN(const auto builder, collection::CollectionBuilder::Create(
                                               FileSystem::Posix(), path, schema, options));
  double seconds = 0;
  for (uint64_t begin = 0; begin < rows; begin += kChunkRows) {
    if (Interrupted()) return absl::CancelledError("interrupted");
    const uint64_t count = std::min(kChunkRows, rows - begin);
    collection::Chunk chunk;
    chunk.vectors = RandomRows(count, schema.dim, static_cast<uint32_t>(begin));
    for (uint64_t i = 0; i < count; ++i) chunk.ids.emplace_back(begin + i);
    if (args.payload_bytes >= 9) {
      const auto filler = static_cast<size_t>(args.payload_bytes - 8);
      chunk.payloads.assign(count, absl::StrCat("{\"a\":\"", std::string(filler, 'x'), "\"}"));
    }
    const auto start = Clock::now();
    MRL_RETURN_IF_ERROR(builder->Append(std::move(chunk)));
    seconds += SecondsSince(start);
  }
  const auto start = Clock::now();
  MRL_RETURN_IF_ERROR(builder->Finish().status());
  return seconds + SecondsSince(start);
}

// Bytes that one core reads in a second from memory that no cache holds.
double BandwidthBytesPerSecond() {
  constexpr size_t kWords = (128 << 20) / sizeof(uint64_t);
  const std::vector<uint64_t> words(kWords, 1);
  double best_s = 0;
  for (int turn = 0; turn < 3; ++turn) {
    const auto start = Clock::now();
    uint64_t sum = 0;
    for (const uint64_t word : words) sum += word;
    const double seconds = SecondsSince(start);
    if (sum == kWords && (turn == 0 || seconds < best_s)) best_s = seconds;
  }
  return kWords * sizeof(uint64_t) / best_s;
}

// The first stage of a query in microseconds, for `growth` times the rows: its scan grows with them
// and is never faster than memory, what it costs to keep many rows stays.
absl::StatusOr<double> ScanMicros(const collection::Collection& collection,
                                  const funnel::Plan& plan, absl::Span<const float> query,
                                  double micros, double growth, double bandwidth) {
  funnel::Plan short_plan = plan;
  for (funnel::Stage& stage : short_plan.stages) stage.keep = plan.k;
  MRL_ASSIGN_OR_RETURN(const funnel::Output output,
                       funnel::Run(collection.view(), short_plan, query, {}));
  const funnel::StageTrace& first = output.trace.stages[0];
  const double scan =
      std::max(first.micros * growth, static_cast<double>(first.bytes) * growth / bandwidth * 1e6);
  return scan + std::max(0.0, micros - first.micros);
}

absl::Status MeasureQueries(const EstimateArgs& args, const collection::Collection& collection,
                            Timing* timing) {
  constexpr size_t kQueries = 21;
  constexpr size_t kWarmUp = 200;  // what is small is cold for long
  MRL_ASSIGN_OR_RETURN(
      const funnel::ChosenPlan chosen,
      PlanFor(collection, {}, {.funnel = args.funnel}, args.k, collection.schema().dim));
  const funnel::Plan& plan = chosen.plan;
  timing->funnel = plan.ToText();
  const uint32_t dim = collection.schema().dim;
  const std::vector<float> queries = RandomRows(kQueries, dim, 77);
  const double growth = static_cast<double>(args.rows) / static_cast<double>(collection.rows());
  const double bandwidth = BandwidthBytesPerSecond();
  std::vector<std::pair<double, double>> millis;  // whole query, first stage
  for (size_t i = 0; i < kWarmUp + kQueries; ++i) {
    const absl::Span<const float> query(queries.data() + i % kQueries * dim, dim);
    MRL_ASSIGN_OR_RETURN(const funnel::Output output,
                         funnel::Run(collection.view(), plan, query, {}));
    const auto& stages = output.trace.stages;
    MRL_ASSIGN_OR_RETURN(const double scan,
                         ScanMicros(collection, plan, query, stages[0].micros, growth, bandwidth));
    double whole = scan;
    for (size_t stage = 1; stage < stages.size(); ++stage) whole += stages[stage].micros;
    if (i >= kWarmUp) millis.emplace_back(whole / 1000, scan / 1000);
  }
  std::nth_element(millis.begin(), millis.begin() + kQueries / 2, millis.end());
  timing->query_ms = millis[kQueries / 2].first;
  timing->scan_ms = millis[kQueries / 2].second;
  timing->bandwidth_gb_s = bandwidth / 1e9;
  return absl::OkStatus();
}

// Learns a rotation from as many rows as a build does: the time is the build's, not scaled.
absl::Status MeasureRotation(const EstimateArgs& args, Schema* schema, Timing* timing) {
  const std::vector<float> rows =
      RandomRows(RotationSampleRows(args.rows, args.dim), args.dim, /*seed=*/5);
  const auto start = Clock::now();
  MRL_ASSIGN_OR_RETURN(schema->rotation,
                       transform::LearnRotation(rows, args.dim, schema->metric == Metric::kCosine));
  timing->learn_s = SecondsSince(start);
  return absl::OkStatus();
}

double RotateMillis(const Schema& schema) {
  constexpr size_t kQueries = 21;
  std::vector<float> queries = RandomRows(kQueries, schema.dim, 78);
  std::vector<double> millis;
  for (size_t i = 0; i < kQueries; ++i) {
    float* query = queries.data() + i * schema.dim;
    const auto start = Clock::now();
    transform::Apply(schema, query, schema.dim, query);
    millis.push_back(1000 * SecondsSince(start));
  }
  std::nth_element(millis.begin(), millis.begin() + kQueries / 2, millis.end());
  return millis[kQueries / 2];
}

// Links rows of a small collection by one core. A row costs the more the more rows there are,
// mostly because links and signs leave the caches: kGrowth is that of 18 and 73 thousand real rows
// (docs/adr/0026).
absl::StatusOr<double> GraphSeconds(const EstimateArgs& args, const Schema& schema,
                                    const coarse::IndexSpec& spec, const Scratch& scratch) {
  constexpr uint64_t kRowsMax = 20'000;
  constexpr double kGrowth = 1.2;
  const uint64_t rows = std::min(args.rows, kRowsMax);
  const std::string path = scratch / "linked";
  MRL_RETURN_IF_ERROR(BuildSeconds(args, schema, rows, path).status());
  MRL_ASSIGN_OR_RETURN(const OpenedIndex opened, OpenIndex(path));
  const auto start = Clock::now();
  MRL_RETURN_IF_ERROR(coarse::BuildIndex(FileSystem::Posix(), scratch / "graph",
                                         *opened.collection->view().parts.front().segment, spec,
                                         {.threads = 1, .stopped = Interrupted}));
  const double growth = static_cast<double>(args.rows) / static_cast<double>(rows);
  return SecondsSince(start) * std::pow(growth, kGrowth);
}

absl::StatusOr<Timing> Measure(const EstimateArgs& args, const SizeInput& input) {
  constexpr uint64_t kBytes = 64 << 20;  // of vectors in the small collection, as floats
  constexpr uint64_t kRowsMin = 2000;
  Timing timing;
  Schema schema = input.schema;
  if (!args.rotate.empty()) MRL_RETURN_IF_ERROR(MeasureRotation(args, &schema, &timing));
  timing.rows_measured =
      std::min(args.rows, std::max(kRowsMin, kBytes / (schema.dim * sizeof(float))));
  MRL_ASSIGN_OR_RETURN(const Scratch scratch, Scratch::Make());
  MRL_ASSIGN_OR_RETURN(const double seconds,
                       BuildSeconds(args, schema, timing.rows_measured, scratch / "index"));
  timing.build_s =
      seconds * static_cast<double>(args.rows) / static_cast<double>(timing.rows_measured);
  {
    MRL_ASSIGN_OR_RETURN(const OpenedIndex opened, OpenIndex(scratch / "index"));
    MRL_RETURN_IF_ERROR(MeasureQueries(args, *opened.collection, &timing));
  }
  if (!args.rotate.empty()) {
    timing.rotate_ms = RotateMillis(schema);
    timing.query_ms += timing.rotate_ms;
  }
  if (input.graph.has_value()) {
    MRL_ASSIGN_OR_RETURN(timing.graph_s, GraphSeconds(args, schema, *input.graph, scratch));
  }
  return timing;
}

nlohmann::json EstimateJson(const EstimateArgs& args, const Schema& schema, const Sizes& sizes,
                            const Timing& timing) {
  nlohmann::json levels = nlohmann::json::array();
  for (size_t level = 0; level < schema.levels(); ++level) {
    levels.push_back({{"dims", schema.ladder[level]}, {"bytes", sizes.levels[level]}});
  }
  nlohmann::json json = {{"rows", args.rows},
                         {"codes", FormatCodes(schema.codes)},
                         {"levels", levels},
                         {"norms_bytes", sizes.norms},
                         {"ids_bytes", sizes.ids},
                         {"codes_bytes", sizes.codes_in_memory},
                         {"payloads_bytes", sizes.payloads},
                         {"id_map_bytes", sizes.id_map},
                         {"disk_bytes", sizes.disk()},
                         {"memory_bytes", sizes.memory()},
                         {"hot_bytes", sizes.hot()}};
  if (sizes.graph_links > 0) {
    json["graph"] = {{"links_bytes", sizes.graph_links}, {"codes_bytes", sizes.graph_codes}};
  }
  if (sizes.rotation > 0) {
    json["rotation"] = {{"bytes", sizes.rotation},
                        {"query_multiply_adds", uint64_t{schema.dim} * schema.dim}};
  }
  if (args.bytes_only) return json;
  if (sizes.graph_links > 0) json["graph"]["build_s"] = timing.graph_s;
  if (sizes.rotation > 0) {
    json["rotation"].update({{"learn_s", timing.learn_s}, {"query_ms", timing.rotate_ms}});
  }
  json.update({{"build_s", timing.build_s},
               {"funnel", timing.funnel},
               {"query_ms", timing.query_ms},
               {"scan_ms", timing.scan_ms},
               {"bandwidth_gb_s", timing.bandwidth_gb_s},
               {"rows_measured", timing.rows_measured}});
  return json;
}

void PrintText(const EstimateArgs& args, const Schema& schema, const Sizes& sizes,
               const Timing& timing) {
  std::printf("%llu rows of %u dimensions, %s, %s, codes %s\n",
              static_cast<unsigned long long>(args.rows), schema.dim,
              std::string(ToString(schema.metric)).c_str(),
              std::string(ToString(schema.storage)).c_str(), FormatCodes(schema.codes).c_str());
  std::vector<std::vector<std::string>> table = {{"part", "in memory", "on disk"}};
  for (size_t level = 0; level < schema.levels(); ++level) {
    const std::string bytes = HumanBytes(sizes.levels[level]);
    table.push_back({absl::StrCat("level to ", schema.ladder[level]), bytes, bytes});
  }
  table.push_back({"norms", HumanBytes(sizes.norms), HumanBytes(sizes.norms)});
  table.push_back({"codes", HumanBytes(sizes.codes_in_memory), HumanBytes(sizes.codes_on_disk)});
  if (sizes.graph_links > 0) {
    const std::string links = HumanBytes(sizes.graph_links), codes = HumanBytes(sizes.graph_codes);
    table.push_back({"graph: links", links, links});
    table.push_back({"graph: codes", codes, codes});
  }
  if (sizes.rotation > 0) {
    table.push_back({"rotation", HumanBytes(sizes.rotation), HumanBytes(sizes.rotation)});
  }
  table.push_back({"ids", HumanBytes(sizes.ids), HumanBytes(sizes.ids + sizes.id_map)});
  table.push_back({"payloads", HumanBytes(sizes.payload_offsets),
                   HumanBytes(sizes.payload_offsets + sizes.payloads)});
  table.push_back({"all", HumanBytes(sizes.memory()), HumanBytes(sizes.disk())});
  table.push_back({"all but the levels", HumanBytes(sizes.hot()),
                   HumanBytes(sizes.disk() - sizes.levels_total())});
  PrintTable(table);
  if (sizes.rotation > 0) {
    const uint64_t products = uint64_t{schema.dim} * schema.dim;
    std::printf("\nrotating a query: %s multiply-adds\n", absl::StrCat(products).c_str());
  }
  if (args.bytes_only) return;
  std::printf(
      "\nfrom %llu rows built and asked here, one core: build %.1f s, reading the input apart; a "
      "query by %s %.3f ms, of which the scan %.3f ms\n",
      static_cast<unsigned long long>(timing.rows_measured), timing.build_s, timing.funnel.c_str(),
      timing.query_ms, timing.scan_ms);
  if (sizes.rotation > 0) {
    std::printf("learning the rotation %.1f s, all cores, from %llu rows; of a query %.3f ms\n",
                timing.learn_s,
                static_cast<unsigned long long>(RotationSampleRows(args.rows, schema.dim)),
                timing.rotate_ms);
  }
  if (sizes.graph_links > 0) {
    std::printf("linking the graph %.0f s, one core; what a walk takes depends on the vectors\n",
                timing.graph_s);
  }
}

absl::Status Estimate(const EstimateArgs& args) {
  CatchInterrupts();
  MRL_ASSIGN_OR_RETURN(const Schema schema, SchemaOf(args));
  MRL_ASSIGN_OR_RETURN(const SizeInput input, InputOf(args, schema));
  const Sizes sizes = SizesOf(input);
  Timing timing;
  if (!args.bytes_only) {
    MRL_ASSIGN_OR_RETURN(timing, Measure(args, input));
  }
  if (args.json) {
    PrintJson(EstimateJson(args, schema, sizes, timing));
  } else {
    PrintText(args, schema, sizes, timing);
  }
  return absl::OkStatus();
}

constexpr char kExamples[] = R"(Examples:
  mrl-index estimate --rows 10000000 --dim 1024 --dims 16,64,256,1024 --storage f16
  mrl-index estimate --rows 1000000 --dim 768 --codes 512b1 --payload-bytes 300 --json
  mrl-index estimate --rows 1000000 --dim 768 --coarse graph --rotate pca
Times come from a small collection that is built in $TMPDIR, asked and removed.)";

void AddSchemaOptions(CLI::App& estimate, EstimateArgs& args) {
  estimate.add_option("--dims", args.dims, "As in build");
  estimate.add_option("--codes", args.codes, "As in build");
  estimate.add_option("--metric", args.metric, "cosine, ip or l2")
      ->check(CLI::IsMember({"cosine", "ip", "l2"}))
      ->capture_default_str();
  estimate.add_option("--storage", args.storage, "f32, f16, bf16 or int8")
      ->check(CLI::IsMember({"f32", "f16", "bf16", "int8"}))
      ->capture_default_str();
  CLI::Option* transform = estimate.add_option("--transform", args.transform, "none or layer_norm")
                               ->check(CLI::IsMember({"none", "layer_norm"}))
                               ->capture_default_str();
  estimate.add_option("--rotate", args.rotate, "pca: as in build")
      ->check(CLI::IsMember({"pca"}))
      ->excludes(transform);
}

void AddCoarseOptions(CLI::App& estimate, EstimateArgs& args) {
  estimate.add_option("--coarse", args.coarse, "scan, or graph: with a graph beside the codes")
      ->check(CLI::IsMember({"scan", "graph"}))
      ->capture_default_str();
  estimate.add_option("--coarse-dims", args.coarse_dims, "With --coarse graph, as in build");
}

}  // namespace

void AddEstimate(CLI::App& app, Verb* verb) {
  constexpr uint64_t kRowsMax = 1'000'000'000'000;
  auto args = std::make_shared<EstimateArgs>();
  CLI::App* estimate =
      app.add_subcommand("estimate", "Say what a collection will take before it is built");
  estimate->footer(kExamples);
  estimate->add_option("--rows", args->rows, "Rows it will have")
      ->required()
      ->check(CLI::Range(uint64_t{1}, kRowsMax));
  estimate->add_option("--dim", args->dim, "Dimensions of a vector")->required();
  AddSchemaOptions(*estimate, *args);
  AddCoarseOptions(*estimate, *args);
  estimate->add_option("--id-bytes", args->id_bytes, "Mean length of string ids; 0 = numbers")
      ->check(CLI::Range(0.0, 256.0));
  estimate->add_option("--payload-bytes", args->payload_bytes, "Mean length of payloads")
      ->check(CLI::Range(0.0, 1048576.0));
  estimate->add_option("--funnel", args->funnel, "The funnel that is asked; default as in search");
  estimate->add_option("-k", args->k, "Points wanted, 1 to 10000")->capture_default_str();
  estimate->add_flag("--bytes-only", args->bytes_only, "Measure nothing");
  estimate->add_flag("--json", args->json, "Print JSON");
  estimate->callback([args, verb] {
    if (args->coarse == "scan" && args->coarse_dims != 0) {
      throw CLI::ValidationError("--coarse-dims is of --coarse graph");
    }
    *verb = [args] { return Estimate(*args); };
  });
}

}  // namespace mrl::cli
