// The manifest of a collection directory, checked against itself.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/file.h"
#include "index/format/manifest.h"
#include "index/schema/schema.h"
#include "index/store/segment.h"

namespace mrl::collection {

struct Manifest {
  struct SideFile {
    uint32_t segment = 0;
    std::string kind;
    uint64_t file_bytes = 0;
  };
  std::string uuid;
  uint64_t generation = 0;
  int64_t created_unix_s = 0;
  Schema schema;
  std::vector<store::SegmentInfo> segments;  // in order of their rows' sequences
  std::vector<SideFile> side_files;
  std::string active_kind;

  uint64_t rows() const;
  std::string Serialize() const;
};

// NOT_FOUND when `path` is no collection; DATA_LOSS names what is damaged.
absl::StatusOr<Manifest> ReadManifest(FileSystem& files, const std::string& path);

}  // namespace mrl::collection
