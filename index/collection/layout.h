// Names inside a collection directory.
#pragma once

#include <string>

#include "base/file.h"
#include "index/format/manifest.h"

namespace mrl::collection {

inline std::string DatabasePath(const std::string& collection) {
  return JoinPath(collection, "db");
}
inline std::string SegmentsPath(const std::string& collection) {
  return JoinPath(collection, "segments");
}
inline std::string SegmentPath(const std::string& collection, uint32_t number) {
  return JoinPath(SegmentsPath(collection), format::SegmentFileName(number));
}
inline std::string SideFilePath(const std::string& collection, uint32_t number,
                                absl::string_view kind) {
  return JoinPath(SegmentsPath(collection), format::SideFileName(number, kind));
}

}  // namespace mrl::collection
