// mrl-index append: embedding files into a collection directory that exists. Memory is bounded by
// the chunk and the tail.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/cli/command.h"
#include "index/cli/progress.h"
#include "index/cli/side_rows.h"
#include "index/collection/live_collection.h"
#include "index/io/embeddings.h"

namespace mrl::cli {
namespace {

constexpr uint32_t kChunkRows = 1000;

struct AppendArgs {
  std::string index;
  std::vector<std::string> inputs;
  std::string ids, id_field, payloads;
  bool if_absent = false;
};

using collection::PointWrite;

std::vector<PointWrite> ToPoints(collection::Chunk chunk, uint32_t dim, bool if_absent) {
  std::vector<PointWrite> points(chunk.ids.size());
  for (size_t i = 0; i < points.size(); ++i) {
    const auto begin = chunk.vectors.begin() + static_cast<ptrdiff_t>(i * dim);
    points[i].vector.assign(begin, begin + dim);
    points[i].id = std::move(chunk.ids[i]);
    if (!chunk.payloads.empty()) points[i].payload = std::move(chunk.payloads[i]);
    if (if_absent) points[i].condition = PointWrite::Condition::kIfAbsent;
  }
  return points;
}

// Rows of one reader, in chunks that are written whole or not at all.
absl::Status AppendReader(const AppendArgs& args, const io::EmbeddingReader& reader,
                          collection::LiveCollection& live, SideRows& side, Progress& progress,
                          uint64_t* done) {
  const uint32_t dim = reader.dims();
  for (uint64_t begin = 0; begin < reader.rows();) {
    if (Interrupted()) {
      return absl::CancelledError(
          absl::StrCat("interrupted; the first ", *done, " rows were appended"));
    }
    const size_t count = std::min<uint64_t>(kChunkRows, reader.rows() - begin);
    collection::Chunk chunk;
    chunk.vectors.resize(count * dim);
    MRL_RETURN_IF_ERROR(reader.Read(begin, absl::MakeSpan(chunk.vectors)));
    MRL_RETURN_IF_ERROR(side.Read(*done, count, &chunk));
    const auto written = live.Upsert(ToPoints(std::move(chunk), dim, args.if_absent),
                                     collection::Durability::kAsync);
    if (!written.ok()) {
      return Annotate(written.status(), absl::StrCat("after ", *done, " rows that were appended"));
    }
    begin += count;
    *done += count;
    progress.Set(*done);
  }
  return absl::OkStatus();
}

absl::Status Append(const AppendArgs& args) {
  CatchInterrupts();
  FileSystem& files = FileSystem::Posix();
  MemoryAccount account(MemoryAccount::DefaultLimitBytes());
  MRL_ASSIGN_OR_RETURN(const auto live,
                       collection::LiveCollection::Open(files, args.index, account));
  const Schema schema = live->Read()->schema();
  std::vector<std::unique_ptr<io::EmbeddingReader>> readers;
  uint64_t rows = 0;
  for (const std::string& path : args.inputs) {
    MRL_ASSIGN_OR_RETURN(auto reader, io::OpenEmbeddings(files, path));
    if (reader->dims() != schema.dim) {
      return absl::InvalidArgumentError(absl::StrCat(path, " has ", reader->dims(), " dimensions; ",
                                                     args.index, " has ", schema.dim));
    }
    rows += reader->rows();
    readers.push_back(std::move(reader));
  }
  MRL_ASSIGN_OR_RETURN(SideRows side, SideRows::Open({args.ids, args.payloads, args.id_field}));
  Progress progress("appending", "rows", rows);
  uint64_t done = 0;
  for (const auto& reader : readers) {
    MRL_RETURN_IF_ERROR(AppendReader(args, *reader, *live, side, progress, &done));
  }
  MRL_RETURN_IF_ERROR(side.CheckEnd(done));
  MRL_RETURN_IF_ERROR(live->Seal());
  MRL_RETURN_IF_ERROR(live->Maintain());
  const uint64_t total = live->Read()->rows();
  MRL_RETURN_IF_ERROR(live->Close());
  std::printf("%s: %llu rows appended, %llu rows in all\n", args.index.c_str(),
              static_cast<unsigned long long>(done), static_cast<unsigned long long>(total));
  return absl::OkStatus();
}

constexpr char kExamples[] = R"(Examples:
  mrl-index append --index INDEX --input more.npy --ids more.txt
  mrl-index append --index INDEX --input more.npy --payloads more.jsonl --id-field id --if-absent)";

}  // namespace

void AddAppend(CLI::App& app, Verb* verb) {
  auto args = std::make_shared<AppendArgs>();
  CLI::App* append = app.add_subcommand(
      "append", "Write embedding files into a collection; ids that are there get the new vector");
  append->footer(kExamples);
  append->add_option("--index", args->index, "Collection directory")->required();
  append->add_option("--input", args->inputs, "Embeddings: .npy, .fvecs or .fbin")
      ->required()
      ->expected(1, -1);
  CLI::Option* ids = append->add_option("--ids", args->ids,
                                        "Ids: .npy of u8 or i8, or a text file with an id a line");
  CLI::Option* payloads =
      append->add_option("--payloads", args->payloads, "JSONL file, an object a row");
  append->add_option("--id-field", args->id_field, "Take ids from this field of the payloads")
      ->needs(payloads)
      ->excludes(ids);
  append->add_flag("--if-absent", args->if_absent, "Refuse ids that are there already");
  append->callback([args, verb] {
    // Numbers of rows, as a build takes them, would write over what is there.
    if (args->ids.empty() && args->id_field.empty()) {
      throw CLI::ValidationError("append needs --ids or --id-field");
    }
    *verb = [args] { return Append(*args); };
  });
}

}  // namespace mrl::cli
