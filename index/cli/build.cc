// mrl-index build: embedding files in, a collection directory out. Memory is bounded by the chunk.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/stopwatch.h"
#include "index/cli/build_steps.h"
#include "index/cli/choose_kind.h"
#include "index/cli/chunk_reader.h"
#include "index/cli/command.h"
#include "index/cli/open_index.h"
#include "index/cli/output.h"
#include "index/cli/progress.h"
#include "index/cli/rotate.h"
#include "index/cli/side_rows.h"
#include "index/collection/collection.h"
#include "index/io/embeddings.h"

namespace mrl::cli {
namespace {

struct BuildArgs {
  std::vector<std::string> inputs, fields;
  std::string output, dims, codes, metric = "cosine", storage, transform = "none", rotate;
  std::string ids, id_field, payloads, coarse = "auto", faiss_factory, gpu = "off";
  uint32_t coarse_dims = 0;
  uint64_t limit = 0, choose_above = kChooseAbove;
  uint32_t chunk_rows = 0, threads = 0;  // 0 = the default
  bool skip_invalid = false, replace = false, force_rotate = false, json = false;
};

using Readers = ChunkReader::Readers;

absl::StatusOr<Readers> OpenInputs(const BuildArgs& args) {
  Readers readers;
  for (const std::string& path : args.inputs) {
    MRL_ASSIGN_OR_RETURN(auto reader, io::OpenEmbeddings(FileSystem::Posix(), path));
    if (!readers.empty() && reader->dims() != readers.front()->dims()) {
      return absl::InvalidArgumentError(absl::StrCat(path, " has ", reader->dims(), " dimensions; ",
                                                     args.inputs.front(), " has ",
                                                     readers.front()->dims()));
    }
    readers.push_back(std::move(reader));
  }
  return readers;
}

absl::StatusOr<Schema> MakeSchema(const BuildArgs& args, const Readers& readers) {
  Schema schema;
  schema.dim = readers.front()->dims();
  schema.ladder = DefaultLadder(schema.dim);
  if (!args.dims.empty()) {
    MRL_ASSIGN_OR_RETURN(schema.ladder, ParseLadder(args.dims));
  }
  MRL_ASSIGN_OR_RETURN(schema.metric, ParseMetric(args.metric));
  MRL_ASSIGN_OR_RETURN(schema.transform, ParseTransform(args.transform));
  const bool halves = std::all_of(readers.begin(), readers.end(),
                                  [](const auto& reader) { return reader->format() == "npy f16"; });
  schema.storage = halves ? StorageType::kF16 : StorageType::kF32;
  if (!args.storage.empty()) {
    MRL_ASSIGN_OR_RETURN(schema.storage, ParseStorageType(args.storage));
  }
  schema.codes = DefaultCodes(schema.ladder, schema.metric);
  if (!args.codes.empty()) {
    MRL_ASSIGN_OR_RETURN(schema.codes, ParseCodes(args.codes));
  }
  for (const std::string& text : args.fields) {
    MRL_ASSIGN_OR_RETURN(Field field, ParseField(text));
    schema.fields.push_back(std::move(field));
  }
  MRL_RETURN_IF_ERROR(schema.Validate());
  return schema;
}

collection::BuildOptions MakeOptions(const BuildArgs& args, const Schema& schema, uint64_t rows,
                                     coarse::gpu::DeviceSet* gpu) {
  collection::BuildOptions options;
  options.replace = args.replace;
  options.skip_invalid = args.skip_invalid;
  options.rows_expected = rows;
  options.threads = Threads(args.threads);
  if (args.coarse != "scan" && args.coarse != "auto") {
    options.index = coarse::WithDefaults(
        {.kind = args.coarse, .dims = args.coarse_dims, .factory = args.faiss_factory}, schema);
    options.gpu = gpu;
  }
  return options;
}

size_t ChunkRows(const BuildArgs& args, uint32_t dim) {
  constexpr size_t kChunkBytes = 8 << 20;  // as floats
  if (args.chunk_rows != 0) return args.chunk_rows;
  return std::max<size_t>(1, kChunkBytes / (dim * sizeof(float)));
}

absl::Status Load(const BuildArgs& args, const Readers& readers, uint64_t rows,
                  collection::CollectionBuilder& builder, double* read_seconds) {
  MRL_ASSIGN_OR_RETURN(SideRows side, SideRows::Open({args.ids, args.payloads, args.id_field}));
  Progress progress("building", "rows", rows);
  ChunkReader chunks(readers, side,
                     {.rows = rows,
                      .chunk_rows = ChunkRows(args, readers.front()->dims()),
                      .ahead = Threads(args.threads) > 1});
  uint64_t done = 0;
  while (true) {
    if (Interrupted()) return absl::CancelledError("interrupted; nothing was written");
    MRL_ASSIGN_OR_RETURN(collection::Chunk chunk, chunks.Next());
    if (chunk.ids.empty()) break;
    done += chunk.ids.size();
    MRL_RETURN_IF_ERROR(builder.Append(std::move(chunk)));
    progress.Set(done);
  }
  *read_seconds = chunks.seconds();
  // With --limit the rest of the input is left out on purpose, and so is theirs.
  return args.limit == 0 ? side.CheckEnd(done) : absl::OkStatus();
}

void Print(const BuildArgs& args, const Schema& schema, const collection::BuildReport& report,
           const BuildSteps& steps) {
  if (report.skipped > 0) {
    std::fprintf(stderr, "skipped %llu rows; the first: %s\n",
                 static_cast<unsigned long long>(report.skipped), report.first_skipped.c_str());
  }
  const std::string metric(ToString(schema.metric));
  const std::string storage(ToString(schema.storage));
  if (args.json) {
    nlohmann::json out = ToJson(steps);
    out.update({{"index", args.output},
                {"rows", report.rows},
                {"skipped", report.skipped},
                {"dim", schema.dim},
                {"ladder", schema.ladder},
                {"codes", FormatCodes(schema.codes)},
                {"metric", metric},
                {"storage", storage},
                {"rotated", !args.rotate.empty()}});
    PrintJson(out);
    return;
  }
  std::printf("%s: %llu rows of %u dimensions, ladder %s, %s, %s%s\n", args.output.c_str(),
              static_cast<unsigned long long>(report.rows), schema.dim,
              FormatLadder(schema.ladder).c_str(), metric.c_str(), storage.c_str(),
              args.rotate.empty() ? "" : ", rotated");
  std::puts(ToText(steps).c_str());
}

// Returns the rows that were written.
absl::StatusOr<uint64_t> Write(const BuildArgs& args) {
  double seconds = 0;
  double rotate_seconds = 0;
  std::optional<Stopwatch> whole(&seconds);
  MRL_ASSIGN_OR_RETURN(const Readers readers, OpenInputs(args));
  MRL_ASSIGN_OR_RETURN(Schema schema, MakeSchema(args, readers));
  uint64_t rows = 0;
  for (const auto& reader : readers) rows += reader->rows();
  if (args.limit != 0) rows = std::min(rows, args.limit);
  if (!args.rotate.empty()) {
    const Stopwatch stopwatch(&rotate_seconds);
    MRL_RETURN_IF_ERROR(Rotate(readers, rows, args.force_rotate, &schema));
  }
  MRL_ASSIGN_OR_RETURN(const auto gpu, OpenGpu(args.gpu));
  const collection::BuildOptions options = MakeOptions(args, schema, rows, gpu.get());
  MRL_ASSIGN_OR_RETURN(const auto builder, collection::CollectionBuilder::Create(
                                               FileSystem::Posix(), args.output, schema, options));
  double read_seconds = 0;
  MRL_RETURN_IF_ERROR(Load(args, readers, rows, *builder, &read_seconds));
  MRL_ASSIGN_OR_RETURN(collection::BuildReport report, builder->Finish());
  whole.reset();
  report.seconds.read = read_seconds;
  BuildSteps steps = StepsOf(report, rotate_seconds);
  steps.threads = options.threads;
  steps.seconds = seconds;
  Print(args, schema, report, steps);
  return report.rows;
}

absl::Status Build(const BuildArgs& args) {
  CatchInterrupts();
  MRL_ASSIGN_OR_RETURN(const uint64_t rows, Write(args));
  if (args.coarse != "auto") return absl::OkStatus();
  return ChooseKind(args.output, rows,
                    {.above = args.choose_above,
                     .threads = Threads(args.threads),
                     .out = args.json ? stderr : stdout});
}

constexpr char kExamples[] = R"(Examples:
  mrl-index build --input base.npy --output INDEX
  mrl-index build --input a.fbin b.fbin --output INDEX --dims 16,64,256 --metric ip --storage f16
  mrl-index build --input base.npy --output INDEX --dims 64,128,256,512,1024 --codes 64b8,512b1
  mrl-index build --input base.npy --payloads points.jsonl --id-field id --output INDEX --replace
  mrl-index build --input base.npy --payloads points.jsonl --field lang:keyword --field year:int \
      --output INDEX
  mrl-index build --input plain.npy --output INDEX --rotate pca
  mrl-index build --input base.npy --output INDEX --coarse faiss --faiss-factory HNSW32 \
      --coarse-dims 64)";

void AddSchemaOptions(CLI::App& build, BuildArgs& args) {
  build.add_option("--dims", args.dims,
                   "Ladder, ending at the full dimension; default 16,32,64,… doubling");
  build.add_option("--codes", args.codes,
                   "Scan codes of 1, 2, 4 or 8 bits, such as 64b8,512b1, or none; default (cosine, "
                   "256 dimensions and more): signs of up to 512, 8 bits of up to 64");
  build.add_option("--metric", args.metric, "cosine, ip or l2")
      ->check(CLI::IsMember({"cosine", "ip", "l2"}))
      ->capture_default_str();
  build.add_option("--storage", args.storage, "f32, f16, bf16 or int8; default as the input")
      ->check(CLI::IsMember({"f32", "f16", "bf16", "int8"}));
  CLI::Option* transform = build.add_option("--transform", args.transform, "none or layer_norm")
                               ->check(CLI::IsMember({"none", "layer_norm"}))
                               ->capture_default_str();
  CLI::Option* rotate =
      build
          .add_option("--rotate", args.rotate,
                      "pca: rotate the vectors, and every query, so that prefixes become useful "
                      "where no model was trained for them. Refused where they are already")
          ->check(CLI::IsMember({"pca"}))
          ->excludes(transform);
  build.add_flag("--force-rotate", args.force_rotate, "Rotate whatever the vectors are")
      ->needs(rotate);
}

void AddSideOptions(CLI::App& build, BuildArgs& args) {
  CLI::Option* ids = build.add_option(
      "--ids", args.ids,
      "Ids: .npy of u8 or i8, or a text file with an id a line; default: row numbers");
  CLI::Option* payloads =
      build.add_option("--payloads", args.payloads, "JSONL file, an object a row");
  build.add_option("--id-field", args.id_field, "Take ids from this field of the payloads")
      ->needs(payloads)
      ->excludes(ids);
  build
      .add_option("--field", args.fields,
                  "Index this payload field for filters: NAME:TYPE of keyword, int, float, bool or "
                  "datetime, such as year:int; may be repeated")
      ->needs(payloads);
}

void AddCoarseOptions(CLI::App& build, BuildArgs& args) {
  build
      .add_option(
          "--coarse", args.coarse,
          "Active coarse index: scan, ivf_scan, graph or faiss; auto: scan, unless there are "
          "more rows than --choose-above and ivf_scan is measured to be a tenth cheaper")
      ->check(CLI::IsMember({"auto", "scan", "ivf_scan", "graph", "faiss"}))
      ->capture_default_str();
  build
      .add_option("--choose-above", args.choose_above,
                  "With --coarse auto: ivf_scan is tried above so many rows")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 62))
      ->capture_default_str();
  build.add_option("--faiss-factory", args.faiss_factory, "FAISS factory string: HNSW32");
  build.add_option(
      "--coarse-dims", args.coarse_dims,
      "Prefix that FAISS indexes, that ivf_scan clusters, or whose signs a graph is walked "
      "by: a step of the ladder");
  AddGpuFlag(build, &args.gpu);
}

void CheckCoarse(const BuildArgs& args) {
  const bool has_factory = !args.faiss_factory.empty();
  const bool has_dims = args.coarse_dims != 0;
  if (args.coarse == "faiss" ? has_factory && has_dims : !has_factory) {
    if ((args.coarse != "scan" && args.coarse != "auto") || !has_dims) return;
  }
  throw CLI::ValidationError(
      "--coarse faiss, --faiss-factory and --coarse-dims go together; --coarse ivf_scan and graph "
      "may have --coarse-dims");
}

}  // namespace

void AddBuild(CLI::App& app, Verb* verb) {
  auto args = std::make_shared<BuildArgs>();
  CLI::App* build = app.add_subcommand("build", "Build a collection directory from files");
  build->footer(kExamples);
  build
      ->add_option("--input", args->inputs,
                   "Embedding files, one after the other: .npy (f32, f16), .fvecs, .fbin")
      ->required();
  build->add_option("--output", args->output, "The directory to make")->required();
  AddSchemaOptions(*build, *args);
  AddSideOptions(*build, *args);
  AddCoarseOptions(*build, *args);
  build->add_option("--limit", args->limit, "Read at most so many rows");
  build->add_option("--chunk-rows", args->chunk_rows,
                    "Rows that are read, encoded or written at a time; default 8 MB of them");
  build
      ->add_option("--threads", args->threads,
                   "That check, encode and index, with one that reads and one that writes beside "
                   "them; 1: all in turn, on one. Default: all cores")
      ->check(CLI::Range(1, 256));
  build->add_flag("--skip-invalid", args->skip_invalid,
                  "Drop rows with NaN, zero norm or out of range, and count them");
  build->add_flag("--replace", args->replace, "Exchange an existing collection at --output");
  build->add_flag("--json", args->json, "One object, with rows a second and each step's seconds");
  build->callback([args, build, verb] {
    CheckCoarse(*args);
    if (args->coarse != "auto" && build->count("--choose-above") > 0) {
      throw CLI::ValidationError("--choose-above is of --coarse auto");
    }
    *verb = [args] { return Build(*args); };
  });
}

}  // namespace mrl::cli
