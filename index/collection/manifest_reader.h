// The manifest of a collection directory, checked against itself.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "base/file.h"
#include "index/coarse/index_spec.h"
#include "index/format/manifest.h"
#include "index/funnel/profile.h"
#include "index/schema/schema.h"
#include "index/store/segment.h"

namespace mrl::collection {

class Database;

// The kind of side files that hold indexed fields; the others are coarse indexes.
inline constexpr char kFilterKind[] = "filter";
// The same, made anew when the fields changed: `filter-` and the generation that named it.
inline constexpr char kFilterKindAgain[] = "filter-";
inline bool IsFilterKind(absl::string_view kind) {
  return kind == kFilterKind || absl::StartsWith(kind, kFilterKindAgain);
}

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
  std::vector<coarse::IndexSpec> indexes;  // that segments to come get beside `scan`
  uint32_t tail_epoch = 0;                 // rows of earlier epochs are sealed
  uint32_t next_segment = 0;               // 0 = never written to since it was built
  funnel::ProfileSet profiles;

  uint64_t rows() const;
  // Coarse kinds that have side files or will have, the active one first.
  std::vector<std::string> kinds() const;
  std::string Serialize() const;
  // Without the rotation's matrix. DATA_LOSS for bytes that Serialize does not make.
  static absl::StatusOr<Manifest> Parse(const std::string& bytes);
};

// NOT_FOUND when `path` is no collection directory.
absl::Status ExpectCollection(FileSystem& files, const std::string& path);
// NOT_FOUND as above; DATA_LOSS names what is damaged.
absl::StatusOr<Manifest> ReadManifest(FileSystem& files, const std::string& path);
// What an open database holds. DATA_LOSS.
absl::StatusOr<Manifest> ReadManifest(const Database& database);

}  // namespace mrl::collection
