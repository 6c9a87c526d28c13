#include "index/cli/try_kinds.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/status.h"
#include "index/cli/change_index.h"
#include "index/collection/collection.h"

namespace mrl::cli {
namespace {

constexpr uint32_t kGraphDims = 128;  // at most: a graph's step costs as much as its prefix is long

struct Wanted {
  std::string active;  // now
  std::vector<coarse::IndexSpec> specs;
};

bool HasSigns(const Schema& schema) {
  return std::any_of(schema.codes.begin(), schema.codes.end(),
                     [](const Code& code) { return code.bits == 1; });
}

// What `kind` would be built from, if the schema has what it needs.
std::optional<coarse::IndexSpec> SpecOf(const std::string& kind, const Schema& schema) {
  if (kind == "ivf_scan" && schema.codes.empty()) return std::nullopt;
  if (kind == "graph" && !HasSigns(schema)) return std::nullopt;
  if (kind != "faiss") return coarse::IndexSpec{.kind = kind};
  uint32_t dims = schema.ladder.front();
  for (const uint32_t step : schema.ladder) {
    if (step <= kGraphDims) dims = step;
  }
  return coarse::IndexSpec{.kind = kind, .dims = dims, .factory = "HNSW32"};
}

absl::StatusOr<Wanted> FindMissing(const std::string& index, const TryOptions& options) {
  MemoryAccount account(MemoryAccount::DefaultLimitBytes());
  MRL_ASSIGN_OR_RETURN(const auto collection,
                       collection::Collection::Open(FileSystem::Posix(), index, account));
  const std::vector<std::string> kinds = collection->kinds();
  Wanted wanted{.active = kinds.front(), .specs = {}};
  for (const std::string& kind : options.kinds) {
    if (std::find(kinds.begin(), kinds.end(), kind) != kinds.end()) continue;
    const auto spec = SpecOf(kind, collection->schema());
    if (spec.has_value()) wanted.specs.push_back(*spec);
  }
  return wanted;
}

// Builds a kind, lets it be looked at, and drops what is not the best: it, or `*best` of before.
absl::Status TryOne(const std::string& index, const coarse::IndexSpec& spec,
                    const TryOptions& options, const std::string& active,
                    const IsBetterFn& is_better, std::string* best) {
  MRL_RETURN_IF_ERROR(ChangeIndex(index, [&](collection::LiveCollection& live) {
    return BuildKind(live, spec, options.activate, options.threads);
  }));
  const absl::StatusOr<bool> better = is_better(spec.kind);
  std::string worse = spec.kind;
  if (better.ok() && *better) std::swap(worse, *best);
  const auto clear = [&](collection::LiveCollection& live) -> absl::Status {
    if (options.activate) MRL_RETURN_IF_ERROR(live.UseIndex(active));
    return worse.empty() ? absl::OkStatus() : live.DropIndex(worse);
  };
  MRL_RETURN_IF_ERROR(ChangeIndex(index, clear));
  return better.status();
}

}  // namespace

absl::Status TryKinds(const std::string& index, const TryOptions& options,
                      const IsBetterFn& is_better) {
  MRL_ASSIGN_OR_RETURN(const Wanted wanted, FindMissing(index, options));
  std::string best;  // of those built here
  absl::Status tried;
  for (const coarse::IndexSpec& spec : wanted.specs) {
    tried = TryOne(index, spec, options, wanted.active, is_better, &best);
    if (!tried.ok()) break;
  }
  if (!tried.ok() && !best.empty()) {
    tried.Update(
        ChangeIndex(index, [&](collection::LiveCollection& live) { return live.DropIndex(best); }));
  }
  return tried;
}

}  // namespace mrl::cli
