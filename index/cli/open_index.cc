#include "index/cli/open_index.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/io/embeddings.h"

namespace mrl::cli {

void AddGpuFlag(CLI::App& verb, std::string* gpu) {
  verb.add_option("--gpu", *gpu, "GPU kinds: off, auto = by devices where there are any, require")
      ->check(CLI::IsMember({"off", "auto", "require"}))
      ->capture_default_str();
}

void AddHotDimsFlag(CLI::App& verb, uint32_t* hot_dims) {
  verb.add_option("--hot-dims", *hot_dims,
                  "Hold vectors in memory up to so many dimensions, read the rest of them from "
                  "disk; 0 = hold all")
      ->check(CLI::Range(uint32_t{0}, Schema::kDimMax))
      ->capture_default_str();
}

absl::StatusOr<std::shared_ptr<coarse::gpu::DeviceSet>> OpenGpu(const std::string& gpu) {
  coarse::gpu::GpuOptions options;
  MRL_ASSIGN_OR_RETURN(options.mode, coarse::gpu::ParseGpuMode(gpu));
  return coarse::gpu::DeviceSet::Open(options);
}

absl::StatusOr<OpenedIndex> OpenIndex(const std::string& path, const OpenFlags& flags) {
  OpenedIndex index;
  MRL_ASSIGN_OR_RETURN(index.gpu, OpenGpu(flags.gpu));
  index.account = std::make_unique<MemoryAccount>(MemoryAccount::DefaultLimitBytes());
  MRL_ASSIGN_OR_RETURN(index.collection, collection::Collection::Open(
                                             FileSystem::Posix(), path, *index.account,
                                             {.gpu = index.gpu.get(), .hot_dims = flags.hot_dims}));
  return index;
}

absl::StatusOr<Queries> ReadQueries(const std::string& path, const Schema& schema, uint64_t begin,
                                    uint64_t limit) {
  MRL_ASSIGN_OR_RETURN(const auto reader, io::OpenEmbeddings(FileSystem::Posix(), path));
  Queries queries;
  queries.dims = reader->dims();
  const bool known = queries.dims == schema.dim ||
                     (schema.transform == Transform::kNone && schema.LevelOf(queries.dims) >= 0);
  if (!known) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " has ", queries.dims, " dimensions; the collection takes ", schema.dim,
                     " or a step of its ladder ", FormatLadder(schema.ladder)));
  }
  if (begin >= reader->rows()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " has ", reader->rows(), " rows; row ", begin, " is not among them"));
  }
  const uint64_t left = reader->rows() - begin;
  queries.rows = limit == 0 ? left : std::min(limit, left);
  queries.values.resize(queries.rows * queries.dims);
  MRL_RETURN_IF_ERROR(reader->Read(begin, absl::MakeSpan(queries.values)));
  return queries;
}

absl::StatusOr<funnel::ChosenPlan> PlanFor(const collection::Collection& collection,
                                           const funnel::ProfileSet& profiles,
                                           const AskedPlan& asked, uint32_t k,
                                           uint32_t query_dims) {
  funnel::PlanInput input = collection.plan_input();
  input.k = k;
  input.query_dims = query_dims;
  input.exact = asked.exact;
  if (!asked.funnel.empty()) {
    MRL_ASSIGN_OR_RETURN(input.funnel, funnel::ParseFunnel(asked.funnel));
  }
  return funnel::ChoosePlan(profiles, asked.profile, std::move(input));
}

}  // namespace mrl::cli
