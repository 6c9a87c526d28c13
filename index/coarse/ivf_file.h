// The side file of kind `ivf_scan` (NNNNNN.ivf_scan.idx), bound to its segment's uuid.
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

// `spec`: valid for the segment's schema. A segment with too few rows for its lists gets fewer, one
// for each 64 rows at most. Centres are trained on a sample of 64 rows a list.
absl::Status BuildIvfScan(FileSystem& files, const std::string& path, const store::Segment& segment,
                          const IndexSpec& spec, const BuildContext& context);
// What one of `rows` rows will take in memory, if its lists come out alike.
uint64_t IvfScanMemoryBytes(const Schema& schema, const IndexSpec& spec, uint64_t rows);

// DATA_LOSS where the file contradicts itself or the segment.
absl::StatusOr<std::unique_ptr<CoarseIndex>> OpenIvfScan(
    FileSystem& files, const std::string& path, std::shared_ptr<const store::Segment> segment,
    MemoryAccount& account);

}  // namespace mrl::coarse
