// An index directory and the vectors asked of it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "absl/status/statusor.h"
#include "base/memory_account.h"
#include "index/coarse/gpu/device_set.h"
#include "index/collection/collection.h"
#include "index/funnel/profile.h"

namespace mrl::cli {

// A collection with the account it is held from.
struct OpenedIndex {
  std::unique_ptr<MemoryAccount> account;
  std::shared_ptr<coarse::gpu::DeviceSet> gpu;
  std::shared_ptr<const collection::Collection> collection;
};
// How an index is held: what the flags of a verb say.
struct OpenFlags {
  std::string gpu = "off";  // off, auto or require
  uint32_t hot_dims = 0;    // collection::OpenOptions
};
absl::StatusOr<OpenedIndex> OpenIndex(const std::string& path, const OpenFlags& flags = {});
absl::StatusOr<std::shared_ptr<coarse::gpu::DeviceSet>> OpenGpu(const std::string& gpu);
// The flags --gpu and --hot-dims of a verb.
void AddGpuFlag(CLI::App& verb, std::string* gpu);
void AddHotDimsFlag(CLI::App& verb, uint32_t* hot_dims);

// Rows of an embedding file whose length a query may have: dim, or a ladder step where the
// collection has no transform.
struct Queries {
  std::vector<float> values;
  uint32_t dims = 0;
  size_t rows = 0;
  absl::Span<const float> row(size_t i) const {
    return absl::MakeConstSpan(values).subspan(i * dims, dims);
  }
};
// Up to `limit` rows (0 = all) from row `begin` on; INVALID_ARGUMENT when there is none.
absl::StatusOr<Queries> ReadQueries(const std::string& path, const Schema& schema, uint64_t begin,
                                    uint64_t limit);

// What is asked for: at most one of a funnel, a profile and exact search. With none the default
// profile, or the built-in rule where there is none.
struct AskedPlan {
  std::string funnel = {};
  std::string profile = {};
  bool exact = false;
};
absl::StatusOr<funnel::ChosenPlan> PlanFor(const collection::Collection& collection,
                                           const funnel::ProfileSet& profiles,
                                           const AskedPlan& asked, uint32_t k, uint32_t query_dims);

}  // namespace mrl::cli
