#include "index/collection/manifest_reader.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/collection/database.h"
#include "index/collection/layout.h"
#include "index/collection/profile_disk.h"
#include "index/transform/rotation.h"

namespace mrl::collection {
namespace {

constexpr uint64_t kSequenceSpanMax = uint64_t{1} << 32;  // a file keeps them as u32

absl::Status CheckManifest(const Manifest& manifest) {
  uint64_t sequence = 1;
  for (const store::SegmentInfo& segment : manifest.segments) {
    if (segment.first_sequence < sequence || segment.rows == 0 ||
        segment.rows > store::Segment::kRowsMax) {
      return absl::DataLossError(
          absl::StrCat("manifest: segment ", segment.number, " has impossible rows"));
    }
    if (segment.end_sequence() < segment.first_sequence + segment.rows ||
        segment.end_sequence() - segment.first_sequence > kSequenceSpanMax) {
      return absl::DataLossError(
          absl::StrCat("manifest: segment ", segment.number, " has impossible sequences"));
    }
    sequence = segment.end_sequence();
  }
  for (const Manifest::SideFile& file : manifest.side_files) {
    if (!IsFilterKind(file.kind) && !coarse::FileKindOf(file.kind).has_value()) {
      return absl::FailedPreconditionError(
          absl::StrCat("the kind of side file '", file.kind, "' is not known to this program"));
    }
  }
  for (const coarse::IndexSpec& index : manifest.indexes) {
    const absl::Status valid = index.Validate(manifest.schema);
    if (!valid.ok()) return absl::DataLossError(absl::StrCat("manifest: ", valid.message()));
  }
  return absl::OkStatus();
}

uint32_t FormatVersion(const Manifest& manifest) {
  const StorageType storage = manifest.schema.storage;
  if (storage == StorageType::kBf16 || storage == StorageType::kInt8) {
    return format::kManifestVersion;
  }
  if (manifest.schema.rotation.checksum != 0) return format::kRotationManifestVersion;
  if (!manifest.profiles.empty() || !manifest.schema.fields.empty()) {
    return format::kFieldsManifestVersion;
  }
  return manifest.next_segment == 0 ? format::kBuiltManifestVersion : format::kLiveManifestVersion;
}

absl::StatusOr<Manifest> FromDisk(const disk::Manifest& message) {
  Manifest manifest;
  manifest.uuid = message.uuid();
  manifest.generation = message.generation();
  manifest.created_unix_s = message.created_unix_s();
  MRL_ASSIGN_OR_RETURN(manifest.schema, format::FromDisk(message.schema()));
  for (const disk::Segment& segment : message.segments()) {
    manifest.segments.push_back({.number = segment.number(),
                                 .uuid = segment.uuid(),
                                 .rows = segment.rows(),
                                 .first_sequence = segment.first_sequence(),
                                 .last_sequence = segment.last_sequence(),
                                 .file_bytes = segment.file_bytes()});
  }
  for (const disk::SideFile& file : message.side_files()) {
    manifest.side_files.push_back({file.segment(), file.kind(), file.file_bytes()});
  }
  manifest.active_kind = message.active_kind();
  for (const disk::IndexSpec& index : message.indexes()) {
    manifest.indexes.push_back({.kind = index.kind(),
                                .dims = index.dims(),
                                .factory = index.faiss_factory(),
                                .lists = index.lists(),
                                .code = {index.code().dims(), index.code().bits()},
                                .degree = index.degree()});
  }
  manifest.tail_epoch = message.tail_epoch();
  manifest.next_segment = message.next_segment();
  MRL_ASSIGN_OR_RETURN(manifest.profiles, ProfilesFromDisk(message.profiles()));
  MRL_RETURN_IF_ERROR(CheckManifest(manifest));
  return manifest;
}

absl::StatusOr<Manifest> ReadFromDatabase(const std::string& path) {
  MRL_ASSIGN_OR_RETURN(const std::unique_ptr<Database> database, Database::OpenReadOnly(path));
  return ReadManifest(*database);
}

}  // namespace

absl::StatusOr<Manifest> ReadManifest(const Database& database) {
  MRL_ASSIGN_OR_RETURN(const std::string bytes, database.GetManifest());
  MRL_ASSIGN_OR_RETURN(Manifest manifest, Manifest::Parse(bytes));
  Schema& schema = manifest.schema;
  if (schema.transform == Transform::kRotation) {
    MRL_ASSIGN_OR_RETURN(const std::string matrix, database.GetRotation());
    MRL_ASSIGN_OR_RETURN(schema.rotation,
                         transform::ParseRotation(matrix, schema.dim, schema.rotation.checksum));
  }
  return manifest;
}

absl::StatusOr<Manifest> Manifest::Parse(const std::string& bytes) {
  MRL_ASSIGN_OR_RETURN(const disk::Manifest message, format::ParseManifest(bytes));
  return FromDisk(message);
}

std::vector<std::string> Manifest::kinds() const {
  std::vector<std::string> kinds = {active_kind};
  const auto add = [&](const std::string& kind) {
    if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) kinds.push_back(kind);
  };
  for (const SideFile& file : side_files) {
    if (!IsFilterKind(file.kind)) add(file.kind);
  }
  for (const coarse::IndexSpec& index : indexes) add(index.kind);
  return kinds;
}

uint64_t Manifest::rows() const {
  uint64_t rows = 0;
  for (const store::SegmentInfo& segment : segments) rows += segment.rows;
  return rows;
}

std::string Manifest::Serialize() const {
  disk::Manifest message;
  message.set_format_version(FormatVersion(*this));
  message.set_uuid(uuid);
  message.set_generation(generation);
  message.set_created_unix_s(created_unix_s);
  *message.mutable_schema() = format::ToDisk(schema);
  for (const store::SegmentInfo& info : segments) {
    disk::Segment* segment = message.add_segments();
    segment->set_number(info.number);
    segment->set_uuid(info.uuid);
    segment->set_rows(info.rows);
    segment->set_first_sequence(info.first_sequence);
    segment->set_file_bytes(info.file_bytes);
    segment->set_last_sequence(info.last_sequence);
  }
  for (const SideFile& file : side_files) {
    disk::SideFile* side_file = message.add_side_files();
    side_file->set_segment(file.segment);
    side_file->set_kind(file.kind);
    side_file->set_file_bytes(file.file_bytes);
  }
  message.set_active_kind(active_kind);
  for (const coarse::IndexSpec& index : indexes) {
    disk::IndexSpec* spec = message.add_indexes();
    spec->set_kind(index.kind);
    spec->set_dims(index.dims);
    spec->set_faiss_factory(index.factory);
    spec->set_lists(index.lists);
    spec->set_degree(index.degree);
    if (index.code == Code{}) continue;
    spec->mutable_code()->set_dims(index.code.dims);
    spec->mutable_code()->set_bits(index.code.bits);
  }
  message.set_tail_epoch(tail_epoch);
  message.set_next_segment(next_segment);
  if (!profiles.empty()) ProfilesToDisk(profiles, message.mutable_profiles());
  return message.SerializeAsString();
}

absl::Status ExpectCollection(FileSystem& files, const std::string& path) {
  if (files.Exists(JoinPath(DatabasePath(path), "CURRENT"))) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat(path, " is not a collection directory"));
}

absl::StatusOr<Manifest> ReadManifest(FileSystem& files, const std::string& path) {
  MRL_RETURN_IF_ERROR(ExpectCollection(files, path));
  absl::StatusOr<Manifest> manifest = ReadFromDatabase(DatabasePath(path));
  if (!manifest.ok()) return Annotate(manifest.status(), path);
  return manifest;
}

}  // namespace mrl::collection
