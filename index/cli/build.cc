// mrl-index build: embedding files in, a collection directory out. Memory is bounded by the chunk.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/cli/choose_kind.h"
#include "index/cli/command.h"
#include "index/cli/open_index.h"
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
  uint32_t chunk_rows = 0;
  bool skip_invalid = false, replace = false, force_rotate = false;
};

using Readers = std::vector<std::unique_ptr<io::EmbeddingReader>>;

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
  if (args.coarse != "scan" && args.coarse != "auto") {
    options.index = coarse::WithDefaults(
        {.kind = args.coarse, .dims = args.coarse_dims, .factory = args.faiss_factory}, schema);
    options.threads = std::max(1u, std::thread::hardware_concurrency());
    options.gpu = gpu;
  }
  return options;
}

size_t ChunkRows(const BuildArgs& args, uint32_t dim) {
  constexpr size_t kChunkBytes = 16 << 20;  // as floats
  if (args.chunk_rows != 0) return args.chunk_rows;
  return std::max<size_t>(1, kChunkBytes / (dim * sizeof(float)));
}

absl::Status Load(const BuildArgs& args, const Readers& readers, uint64_t rows,
                  collection::CollectionBuilder& builder) {
  MRL_ASSIGN_OR_RETURN(SideRows side, SideRows::Open({args.ids, args.payloads, args.id_field}));
  Progress progress("building", "rows", rows);
  const uint32_t dim = readers.front()->dims();
  const size_t chunk_rows = ChunkRows(args, dim);
  uint64_t done = 0;
  for (const auto& reader : readers) {
    for (uint64_t begin = 0; begin < reader->rows() && done < rows;) {
      if (Interrupted()) return absl::CancelledError("interrupted; nothing was written");
      const size_t count = std::min<uint64_t>({chunk_rows, reader->rows() - begin, rows - done});
      collection::Chunk chunk;
      chunk.vectors.resize(count * dim);
      MRL_RETURN_IF_ERROR(reader->Read(begin, absl::MakeSpan(chunk.vectors)));
      MRL_RETURN_IF_ERROR(side.Read(done, count, &chunk));
      MRL_RETURN_IF_ERROR(builder.Append(std::move(chunk)));
      begin += count;
      done += count;
      progress.Set(done);
    }
  }
  // With --limit the rest of the input is left out on purpose, and so is theirs.
  return args.limit == 0 ? side.CheckEnd(done) : absl::OkStatus();
}

// Returns the rows that were written.
absl::StatusOr<uint64_t> Write(const BuildArgs& args) {
  MRL_ASSIGN_OR_RETURN(const Readers readers, OpenInputs(args));
  MRL_ASSIGN_OR_RETURN(Schema schema, MakeSchema(args, readers));
  uint64_t rows = 0;
  for (const auto& reader : readers) rows += reader->rows();
  if (args.limit != 0) rows = std::min(rows, args.limit);
  if (!args.rotate.empty()) {
    MRL_RETURN_IF_ERROR(Rotate(readers, rows, args.force_rotate, &schema));
  }
  MRL_ASSIGN_OR_RETURN(const auto gpu, OpenGpu(args.gpu));
  const collection::BuildOptions options = MakeOptions(args, schema, rows, gpu.get());
  MRL_ASSIGN_OR_RETURN(const auto builder, collection::CollectionBuilder::Create(
                                               FileSystem::Posix(), args.output, schema, options));
  MRL_RETURN_IF_ERROR(Load(args, readers, rows, *builder));
  MRL_ASSIGN_OR_RETURN(const collection::BuildReport report, builder->Finish());
  if (report.skipped > 0) {
    std::fprintf(stderr, "skipped %llu rows; the first: %s\n",
                 static_cast<unsigned long long>(report.skipped), report.first_skipped.c_str());
  }
  std::printf("%s: %llu rows of %u dimensions, ladder %s, %s, %s%s\n", args.output.c_str(),
              static_cast<unsigned long long>(report.rows), schema.dim,
              FormatLadder(schema.ladder).c_str(), std::string(ToString(schema.metric)).c_str(),
              std::string(ToString(schema.storage)).c_str(),
              args.rotate.empty() ? "" : ", rotated");
  return report.rows;
}

absl::Status Build(const BuildArgs& args) {
  CatchInterrupts();
  MRL_ASSIGN_OR_RETURN(const uint64_t rows, Write(args));
  if (args.coarse != "auto") return absl::OkStatus();
  return ChooseKind(args.output, rows, args.choose_above);
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
  build->add_option("--chunk-rows", args->chunk_rows, "Rows held at a time; default 16 MB of them");
  build->add_flag("--skip-invalid", args->skip_invalid,
                  "Drop rows with NaN, zero norm or out of range, and count them");
  build->add_flag("--replace", args->replace, "Exchange an existing collection at --output");
  build->callback([args, build, verb] {
    CheckCoarse(*args);
    if (args->coarse != "auto" && build->count("--choose-above") > 0) {
      throw CLI::ValidationError("--choose-above is of --coarse auto");
    }
    *verb = [args] { return Build(*args); };
  });
}

}  // namespace mrl::cli
