// One new segment from the live rows of others: how a tail is sealed and how segments are merged.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/file.h"
#include "index/collection/live_part.h"
#include "index/collection/manifest_reader.h"
#include "index/collection/watch.h"
#include "index/schema/schema.h"
#include "index/store/segment.h"

namespace mrl::collection {

// What goes in: a part, as it was when the build began. Rows that are removed while it runs go into
// the new segment all the same.
struct BuildInput {
  LivePart* part = nullptr;
  std::shared_ptr<const store::Segment> segment;
  LivePart::Bitmap live;
};

struct BuiltSegment {
  store::SegmentInfo info;
  std::vector<Manifest::SideFile> side_files;
};

// Writes NNNNNN.seg, NNNNNN.scan.idx and, with fields, NNNNNN.filter.idx for `number` into the
// collection at `path`, synced and renamed; nothing when no row is live. Inputs are in order of
// sequences. `watch` hears of rows.
absl::StatusOr<std::optional<BuiltSegment>> BuildSegment(FileSystem& files, const std::string& path,
                                                         const Schema& schema, uint32_t number,
                                                         absl::Span<const BuildInput> inputs,
                                                         const Watch& watch);

// Calls `visit(input, row, new_row)` for each row that went in.
void ForEachBuiltRow(absl::Span<const BuildInput> inputs,
                     const std::function<void(const BuildInput&, uint32_t, uint32_t)>& visit);

}  // namespace mrl::collection
