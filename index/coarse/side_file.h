// What every side file of a segment has in common: it belongs to one segment of one schema.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/file.h"
#include "index/format/section_file.h"
#include "index/schema/schema.h"
#include "index/store/segment.h"

namespace mrl::coarse {

format::FileHeader SideFileHeader(format::FileKind kind, const std::string& segment_uuid,
                                  const Schema& schema);

// Opens a side file and refuses one that was made for another segment or schema (DATA_LOSS).
absl::StatusOr<std::unique_ptr<format::SectionFileReader>> OpenSideFile(
    FileSystem& files, const std::string& path, format::FileKind kind,
    const store::Segment& segment);

}  // namespace mrl::coarse
