// The side file of kind `graph` (NNNNNN.graph.idx), bound to its segment's uuid.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/file.h"
#include "base/memory_account.h"
#include "index/coarse/coarse.h"
#include "index/coarse/index_spec.h"

namespace mrl::coarse {

// `spec`: valid for the segment's schema.
absl::Status BuildGraph(FileSystem& files, const std::string& path, const store::Segment& segment,
                        const IndexSpec& spec, const BuildContext& context);
// What `rows` rows will take in memory.
uint64_t GraphMemoryBytes(const IndexSpec& spec, uint64_t rows);

// DATA_LOSS where the file contradicts itself or the segment.
absl::StatusOr<std::unique_ptr<CoarseIndex>> OpenGraph(
    FileSystem& files, const std::string& path, std::shared_ptr<const store::Segment> segment,
    MemoryAccount& account);

}  // namespace mrl::coarse
