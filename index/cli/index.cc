// mrl-index index: coarse indexes of a collection directory, beside its scan codes.
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/cli/change_index.h"
#include "index/cli/command.h"
#include "index/cli/output.h"
#include "index/collection/live_collection.h"

namespace mrl::cli {
namespace {

struct IndexArgs {
  std::string index, kind, code;
  coarse::IndexSpec spec;
  bool use = false;
  bool json = false;
  uint32_t threads = 0;
};

absl::Status Add(const IndexArgs& args) {
  CatchInterrupts();
  coarse::IndexSpec spec = args.spec;
  spec.kind = args.kind;
  if (!args.code.empty()) {
    MRL_ASSIGN_OR_RETURN(const std::vector<Code> codes, ParseCodes(args.code));
    if (codes.size() != 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("--code ", args.code, ": one code is needed, such as 256b1"));
    }
    spec.code = codes.front();
  }
  return ChangeIndex(args.index, [&](collection::LiveCollection& live) -> absl::Status {
    MRL_RETURN_IF_ERROR(BuildKind(live, spec, args.use, args.threads));
    std::printf("%s: %s%s\n", args.index.c_str(), live.indexes().back().ToText().c_str(),
                args.use ? ", active" : "");
    return absl::OkStatus();
  });
}

absl::Status Use(const IndexArgs& args) {
  return ChangeIndex(args.index, [&](collection::LiveCollection& live) -> absl::Status {
    MRL_RETURN_IF_ERROR(live.UseIndex(args.kind));
    std::printf("%s: %s is active\n", args.index.c_str(), args.kind.c_str());
    return absl::OkStatus();
  });
}

absl::Status Drop(const IndexArgs& args) {
  return ChangeIndex(args.index, [&](collection::LiveCollection& live) -> absl::Status {
    MRL_RETURN_IF_ERROR(live.DropIndex(args.kind));
    std::printf("%s: %s is dropped\n", args.index.c_str(), args.kind.c_str());
    return absl::OkStatus();
  });
}

absl::Status List(const IndexArgs& args) {
  MemoryAccount account(MemoryAccount::DefaultLimitBytes());
  MRL_ASSIGN_OR_RETURN(const auto collection,
                       collection::Collection::Open(FileSystem::Posix(), args.index, account));
  const std::vector<std::string> kinds = collection->kinds();
  nlohmann::json listed = nlohmann::json::array();
  std::vector<std::vector<std::string>> table = {{"kind", "active", "segment", "index", "memory"}};
  for (const auto& part : collection->view().parts) {
    const uint32_t segment = part.segment->info().number;
    for (const auto& index : part.indexes) {
      const std::string kind(index->kind());
      const bool active = kind == kinds.front();
      listed.push_back({{"kind", kind},
                        {"active", active},
                        {"segment", segment},
                        {"index", index->Describe()},
                        {"memory_bytes", index->memory_bytes()}});
      table.push_back({kind, active ? "yes" : "", absl::StrCat(segment), index->Describe(),
                       HumanBytes(index->memory_bytes())});
    }
  }
  if (args.json) {
    std::puts(listed.dump().c_str());
  } else {
    PrintTable(table);
  }
  return absl::OkStatus();
}

constexpr char kExamples[] = R"(Examples:
  mrl-index index add ivf_scan --index INDEX --dims 128 --code 256b1
  mrl-index index add faiss --index INDEX --dims 64 --faiss-factory HNSW32 --use
  mrl-index index add faiss --index INDEX --faiss-factory OPQ32,PQ32
  mrl-index index add graph --index INDEX --use
  mrl-index index use scan --index INDEX
  mrl-index index drop ivf_scan --index INDEX
  mrl-index search --index INDEX --id dog.n.01 --funnel 'ivf_scan(nprobe=32)/256b1:2000,1024:10')";

using Run = absl::Status (*)(const IndexArgs&);

CLI::App* AddOne(CLI::App& index, const std::shared_ptr<IndexArgs>& args, Verb* verb,
                 const std::string& name, const std::string& what, Run run) {
  CLI::App* one = index.add_subcommand(name, what);
  one->add_option("--index", args->index, "Collection directory")->required();
  one->callback([args, verb, run] { *verb = [args, run] { return run(*args); }; });
  return one;
}

void AddKind(CLI::App* one, const std::shared_ptr<IndexArgs>& args, const std::string& what) {
  one->add_option("kind", args->kind, what)->required();
}

}  // namespace

void AddIndex(CLI::App& app, Verb* verb) {
  auto args = std::make_shared<IndexArgs>();
  CLI::App* index = app.add_subcommand("index", "Add, choose, drop and list coarse indexes");
  index->footer(kExamples);
  index->require_subcommand(1);
  CLI::App* add =
      AddOne(*index, args, verb, "add",
             "Build a coarse index beside the scan codes; rows to come get it too", Add);
  AddKind(add, args, "ivf_scan, graph or faiss");
  add->add_option("--dims", args->spec.dims,
                  "Prefix that is clustered (ivf_scan; default the step nearest to 128) or indexed "
                  "(faiss; required but for product quantisers such as OPQ32,PQ32: by default the "
                  "step that is measured to find most with so many bytes)");
  add->add_option("--lists", args->spec.lists,
                  "ivf_scan: lists a segment, up to 1048576; default one for 256 rows");
  add->add_option("--code", args->code,
                  "One of the stored codes or a shorter prefix of it. ivf_scan: what the lists "
                  "hold; default signs of up to 256 dimensions. graph: the signs that it is walked "
                  "by; default up to 512 dimensions");
  add->add_option("--degree", args->spec.degree, "graph: links of a row, 4 to 256; default 64");
  add->add_option("--faiss-factory", args->spec.factory, "faiss: factory string, such as HNSW32");
  add->add_option("--threads", args->threads, "Threads that build; default all cores");
  add->add_flag("--use", args->use, "Make it the active one");
  AddKind(
      AddOne(*index, args, verb, "use", "Make a kind the one that searches use by default", Use),
      args, "scan, ivf_scan, graph or faiss");
  AddKind(AddOne(*index, args, verb, "drop", "Remove a coarse index with its files", Drop), args,
          "ivf_scan, graph or faiss");
  AddOne(*index, args, verb, "list", "Show the coarse indexes of every segment", List)
      ->add_flag("--json", args->json, "One line of JSON");
}

}  // namespace mrl::cli
