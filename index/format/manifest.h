// The manifest's bytes, and the schema as the disk knows it.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "index/format/manifest.pb.h"
#include "index/schema/schema.h"

namespace mrl::format {

// 1 is what a bulk build writes; 2 may have deletions, a tail, and segments that leave numbers out;
// 3 has fields with a side file of kind `filter` beside each segment, or profiles, which a program
// that knows of none would search without; 4 has a rotation; 5 stores vectors as bf16 or int8.
inline constexpr uint32_t kBuiltManifestVersion = 1;
inline constexpr uint32_t kLiveManifestVersion = 2;
inline constexpr uint32_t kFieldsManifestVersion = 3;
inline constexpr uint32_t kRotationManifestVersion = 4;
inline constexpr uint32_t kManifestVersion = 5;

disk::Schema ToDisk(const Schema& schema);
// DATA_LOSS when the message is not a valid schema.
absl::StatusOr<Schema> FromDisk(const disk::Schema& message);

// Binds files to a schema: a checksum of its text forms. Fields are left out: rows and codes do not
// depend on them. A rotation is bound by its checksum.
uint64_t SchemaHash(const Schema& schema);

// DATA_LOSS when the bytes are no manifest; FAILED_PRECONDITION for a newer version.
absl::StatusOr<disk::Manifest> ParseManifest(const std::string& bytes);

// "000001.seg", "000001.scan.idx".
std::string SegmentFileName(uint32_t number);
std::string SideFileName(uint32_t number, absl::string_view kind);

}  // namespace mrl::format
