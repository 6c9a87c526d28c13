// From a collection's directory to its parts in memory: how reading and writing begin.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "base/file.h"
#include "base/memory_account.h"
#include "index/collection/database.h"
#include "index/collection/manifest_reader.h"
#include "index/collection/open_options.h"
#include "index/collection/part_list.h"

namespace mrl::collection {

struct Loaded {
  Manifest manifest;
  PartList parts;
  uint64_t sequence = 0;  // the highest that was given out
  uint32_t epoch = 0;     // the tail's newest
};

// The kinds that were built, the active one first, and those that devices add.
std::vector<std::string> KindsOf(const Manifest& manifest, const coarse::gpu::DeviceSet* gpu);
// What devices add to `index`; null where they add nothing.
absl::StatusOr<std::shared_ptr<const coarse::CoarseIndex>> CopyToGpu(
    coarse::gpu::DeviceSet* gpu, std::shared_ptr<const coarse::CoarseIndex> index);

// Opens every segment and side file, marks deleted rows, and rebuilds the tail. Among the tail's
// rows the id map has the last word: a row that it does not name is what a failed write left.
// DATA_LOSS names the damaged part.
absl::StatusOr<Loaded> Load(FileSystem& files, const std::string& path, const Database& database,
                            MemoryAccount& account, const OpenOptions& options = {});
// The same through a database of its own that is closed again.
absl::StatusOr<Loaded> LoadReadOnly(FileSystem& files, const std::string& path,
                                    MemoryAccount& account, const OpenOptions& options = {});

// A segment of the manifest with its side files.
absl::StatusOr<std::unique_ptr<LivePart>> OpenSegment(FileSystem& files, const std::string& path,
                                                      const Manifest& manifest,
                                                      const store::SegmentInfo& info,
                                                      MemoryAccount& account,
                                                      const OpenOptions& options = {});

}  // namespace mrl::collection
