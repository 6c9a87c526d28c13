// mrl-index report: are prefixes of these vectors useful, and how good is each?
#include <cstdio>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "index/cli/asked.h"
#include "index/cli/command.h"
#include "index/cli/open_index.h"
#include "index/cli/output.h"
#include "index/cli/progress.h"
#include "index/cli/replace_file.h"
#include "index/cli/report_page.h"
#include "index/cli/sample.h"
#include "index/tune/view_subject.h"

namespace mrl::cli {
namespace {

struct ReportArgs {
  std::string input, index, queries, dims, html, svg;
  std::string metric = "cosine", transform = "none";
  std::vector<std::string> grid;
  std::vector<uint32_t> keeps;
  uint32_t k = 10;
  uint64_t sample = 10'000, limit = 200, seed = 1;
  uint32_t threads = 0, hot_dims = 0;
  bool json = false;
};

// What is compared: vectors, queries, and how.
struct Compared {
  Sample documents, queries;
  std::vector<size_t> own_rows;  // of queries that are among the documents
  std::vector<uint32_t> ladder;
  Metric metric = Metric::kCosine;
};

// Documents that stand in for queries where there is no file of them.
std::vector<uint64_t> StandIns(const ReportArgs& args, const Sample& documents) {
  return SpreadRows(documents.rows, args.limit, args.seed + 1);
}

absl::Status AddQueries(const ReportArgs& args, const Schema& schema, Compared* compared) {
  if (!args.queries.empty()) {
    MRL_ASSIGN_OR_RETURN(compared->queries,
                         SampleFile(args.queries, args.limit, args.seed, schema));
    return absl::OkStatus();
  }
  const std::vector<uint64_t> rows = StandIns(args, compared->documents);
  compared->queries = PickRows(compared->documents, rows);
  compared->own_rows.assign(rows.begin(), rows.end());
  return absl::OkStatus();
}

absl::StatusOr<std::vector<uint32_t>> LadderFor(const ReportArgs& args, uint32_t dim) {
  if (args.dims.empty()) return DefaultLadder(dim);
  Schema schema;
  schema.dim = dim;
  MRL_ASSIGN_OR_RETURN(schema.ladder, ParseLadder(args.dims));
  MRL_RETURN_IF_ERROR(schema.Validate());
  return schema.ladder;
}

absl::StatusOr<Compared> FromFile(const ReportArgs& args) {
  Compared compared;
  MRL_ASSIGN_OR_RETURN(compared.metric, ParseMetric(args.metric));
  Schema schema;  // of the file: only its transform is known
  MRL_ASSIGN_OR_RETURN(schema.transform, ParseTransform(args.transform));
  MRL_ASSIGN_OR_RETURN(compared.documents, SampleFile(args.input, args.sample, args.seed, schema));
  MRL_ASSIGN_OR_RETURN(compared.ladder, LadderFor(args, compared.documents.dim));
  MRL_RETURN_IF_ERROR(AddQueries(args, schema, &compared));
  return compared;
}

absl::StatusOr<Compared> FromIndex(const ReportArgs& args,
                                   const collection::Collection& collection) {
  Compared compared;
  compared.metric = collection.schema().metric;
  compared.ladder = collection.schema().ladder;
  MRL_ASSIGN_OR_RETURN(compared.documents, SampleIndex(collection, args.sample, args.seed));
  MRL_RETURN_IF_ERROR(AddQueries(args, collection.schema(), &compared));
  return compared;
}

absl::StatusOr<tune::DimensionReport> Analyse(const ReportArgs& args, const Compared& compared) {
  tune::DimensionReportInput input;
  input.documents = compared.documents.matrix();
  input.queries = compared.queries.matrix();
  input.own_rows = compared.own_rows;
  input.ladder = compared.ladder;
  input.metric = compared.metric;
  input.k = args.k;
  input.keeps = args.keeps;
  input.threads = Threads(args.threads);
  input.seed = args.seed;
  const auto show = ShowParts();
  return tune::AnalyseDimensions(input, show);
}

// NAME:FILE or NAME:FILE:QUERIES.
absl::StatusOr<tune::LayerGrid> Grid(const ReportArgs& args) {
  Schema schema;  // of the files: only its transform is known
  MRL_ASSIGN_OR_RETURN(schema.transform, ParseTransform(args.transform));
  tune::LayerGridInput input;
  MRL_ASSIGN_OR_RETURN(input.metric, ParseMetric(args.metric));
  std::vector<Compared> layers(args.grid.size());
  for (size_t i = 0; i < args.grid.size(); ++i) {
    const std::vector<std::string> parts = absl::StrSplit(args.grid[i], ':');
    if (parts.size() < 2 || parts.size() > 3) {
      return absl::InvalidArgumentError(
          absl::StrCat("--grid ", args.grid[i], ": NAME:FILE or NAME:FILE:QUERIES is needed"));
    }
    ReportArgs of_layer = args;
    of_layer.queries = parts.size() == 3 ? parts[2] : "";
    MRL_ASSIGN_OR_RETURN(layers[i].documents, SampleFile(parts[1], args.sample, args.seed, schema));
    MRL_RETURN_IF_ERROR(AddQueries(of_layer, schema, &layers[i]));
    if (i > 0 && layers[i].own_rows.size() != layers[0].own_rows.size()) {
      return absl::InvalidArgumentError("--grid: either all layers have a file of queries or none");
    }
    input.layers.push_back({parts[0], layers[i].documents.matrix(), layers[i].queries.matrix()});
  }
  input.own_rows = layers.front().own_rows;
  MRL_ASSIGN_OR_RETURN(input.ladder, LadderFor(args, layers.back().documents.dim));
  input.k = args.k;
  input.threads = Threads(args.threads);
  const auto show = ShowParts();
  return tune::CompareLayers(input, show);
}

absl::Status WriteFiles(const ReportArgs& args, const ReportPage& page) {
  if (!args.html.empty()) MRL_RETURN_IF_ERROR(ReplaceFile(args.html, ReportHtml(page)));
  if (args.svg.empty()) return absl::OkStatus();
  if (!FileSystem::Posix().Exists(args.svg)) {
    MRL_RETURN_IF_ERROR(FileSystem::Posix().CreateDirectory(args.svg));
  }
  for (const auto& [name, svg] : ReportPlots(page)) {
    MRL_RETURN_IF_ERROR(ReplaceFile(JoinPath(args.svg, name), svg));
  }
  return absl::OkStatus();
}

nlohmann::json PageJson(const ReportPage& page) {
  nlohmann::json json = {{"source", page.source}};
  if (page.report.has_value()) {
    const tune::DimensionReport& report = *page.report;
    nlohmann::json prefixes = nlohmann::json::array();
    for (size_t i = 0; i < report.prefixes.size(); ++i) {
      const tune::PrefixQuality& prefix = report.prefixes[i];
      prefixes.push_back({{"dims", prefix.dims},
                          {"recall", prefix.recall},
                          {"interval", {prefix.interval.low, prefix.interval.high}},
                          {"overlap", prefix.overlap},
                          {"kendall", prefix.kendall},
                          {"shortlist", prefix.shortlist},
                          {"control", prefix.control},
                          {"energy", prefix.energy},
                          {"norm_mean", prefix.norm_mean},
                          {"norm_deviation", prefix.norm_deviation},
                          {"bytes_per_row", page.bytes_per_row[i]},
                          {"scan_ns_per_row", prefix.scan_ns_per_row}});
      if (!page.scan_ms.empty()) prefixes.back()["search_ms"] = page.scan_ms[i];
    }
    json.update({{"verdict", tune::ToString(report.verdict)},
                 {"gain", report.gain},
                 {"gain_limit", report.gain_limit},
                 {"rows", report.rows},
                 {"queries", report.queries},
                 {"k", report.k},
                 {"keeps", report.keeps},
                 {"prefixes", prefixes},
                 {"advice", tune::Advice(report)}});
  }
  if (page.grid.has_value()) {
    json["grid"] = {{"layers", page.grid->layers},
                    {"dims", page.grid->dims},
                    {"recall", page.grid->recall},
                    {"cross", page.grid->cross}};
  }
  return json;
}

void PrintGrid(const std::string& corner, const std::vector<std::string>& columns,
               const std::vector<std::string>& rows,
               const std::vector<std::vector<double>>& cells) {
  std::vector<std::vector<std::string>> table = {{corner}};
  table[0].insert(table[0].end(), columns.begin(), columns.end());
  for (size_t i = 0; i < rows.size(); ++i) {
    table.push_back({rows[i]});
    for (const double cell : cells[i]) table.back().push_back(absl::StrFormat("%.3f", cell));
  }
  PrintTable(table);
}

void PrintText(const ReportPage& page) {
  if (page.report.has_value()) {
    std::printf("%s: %zu vectors and %zu queries compared\n", page.source.c_str(),
                page.report->rows, page.report->queries);
    PrintTable(ReportTable(page));
    std::puts(
        "in K: share of the true neighbours in a shortlist of K (in brackets: of random "
        "dimensions)\n");
    for (const std::string& advice : tune::Advice(*page.report)) std::puts(advice.c_str());
  }
  if (page.grid.has_value()) {
    std::vector<std::string> dims;
    for (const uint32_t one : page.grid->dims) dims.push_back(absl::StrCat(one));
    PrintGrid("layer, dims", dims, page.grid->layers, page.grid->recall);
    std::puts("");
    PrintGrid("queries, documents", page.grid->layers, page.grid->layers, page.grid->cross);
  }
}

absl::Status FillReport(const ReportArgs& args, ReportPage* page) {
  if (args.input.empty() && args.index.empty()) return absl::OkStatus();
  Compared compared;
  OpenedIndex opened;
  if (!args.index.empty()) {
    page->source = args.index;
    MRL_ASSIGN_OR_RETURN(opened, OpenIndex(args.index, {.hot_dims = args.hot_dims}));
    MRL_ASSIGN_OR_RETURN(compared, FromIndex(args, *opened.collection));
  } else {
    page->source = args.input;
    MRL_ASSIGN_OR_RETURN(compared, FromFile(args));
  }
  MRL_ASSIGN_OR_RETURN(page->report, Analyse(args, compared));
  if (opened.collection != nullptr) {
    tune::ViewQueries queries;  // transformed; times do not mind
    queries.dims = compared.queries.dim;
    queries.values = compared.queries.values;
    MRL_ASSIGN_OR_RETURN(page->scan_ms, tune::TimePrefixes(opened.collection->view(),
                                                           opened.collection->plan_input(), queries,
                                                           args.k, Interrupted));
  }
  for (const uint32_t dims : compared.ladder) {
    page->bytes_per_row.push_back(uint64_t{dims} * compared.documents.element_bytes);
  }
  return absl::OkStatus();
}

absl::Status Report(const ReportArgs& args) {
  ReportPage page;
  MRL_RETURN_IF_ERROR(FillReport(args, &page));
  if (!args.grid.empty()) {
    if (page.source.empty()) page.source = "layers";
    MRL_ASSIGN_OR_RETURN(page.grid, Grid(args));
  }
  MRL_RETURN_IF_ERROR(WriteFiles(args, page));
  if (args.json) {
    PrintJson(PageJson(page));
  } else {
    PrintText(page);
  }
  return absl::OkStatus();
}

constexpr char kExamples[] = R"(Examples:
  mrl-index report --input base.npy --queries queries.npy --html report.html
  mrl-index report --index INDEX --json
  mrl-index report --grid layer=4:a.npy layer=8:b.npy layer=12:c.npy --html grid.html)";

void AddSources(CLI::App& report, ReportArgs& args) {
  CLI::Option* input = report.add_option("--input", args.input, "Embedding file");
  CLI::Option* index =
      report.add_option("--index", args.index, "Collection directory")->excludes(input);
  AddHotDimsFlag(report, &args.hot_dims);
  report.add_option("--grid", args.grid,
                    "Layers of a 2D Matryoshka model, shallowest first, each NAME:FILE[:QUERIES]; "
                    "the truth is the last one's");
  report.add_option("--queries", args.queries,
                    "Embedding file of queries; default: some of the vectors themselves");
  report
      .add_option("--dims", args.dims,
                  "Prefixes to look at, ending at the full dimension; default "
                  "16,32,64,… or the index's ladder")
      ->excludes(index);
  report.add_option("--metric", args.metric, "cosine, ip or l2")
      ->check(CLI::IsMember({"cosine", "ip", "l2"}))
      ->capture_default_str()
      ->excludes(index);
  report.add_option("--transform", args.transform, "none or layer_norm")
      ->check(CLI::IsMember({"none", "layer_norm"}))
      ->capture_default_str()
      ->excludes(index);
}

}  // namespace

void AddReport(CLI::App& app, Verb* verb) {
  auto args = std::make_shared<ReportArgs>();
  CLI::App* report = app.add_subcommand("report", "Say how good each prefix of vectors is");
  report->footer(kExamples);
  AddSources(*report, *args);
  report->add_option("-k", args->k, "Neighbours that count as true")->capture_default_str();
  report->add_option("--keeps", args->keeps, "Shortlist lengths; default 1, 2, 5, … times k")
      ->delimiter(',');
  report->add_option("--sample", args->sample, "Vectors to compare")->capture_default_str();
  report->add_option("--limit", args->limit, "Queries to compare")->capture_default_str();
  report->add_option("--html", args->html, "Write one page with plots");
  report->add_option("--svg", args->svg, "Write each plot into this folder");
  report->add_option("--threads", args->threads, "Workers; default all cores")
      ->check(CLI::Range(1, 256));
  report->add_option("--seed", args->seed, "Of the sample and the control")->capture_default_str();
  report->add_flag("--json", args->json, "One JSON object");
  report->callback([args, verb] {
    if (args->input.empty() && args->index.empty() && args->grid.empty()) {
      throw CLI::ValidationError("one of --input, --index and --grid is required");
    }
    *verb = [args] { return Report(*args); };
  });
}

}  // namespace mrl::cli
