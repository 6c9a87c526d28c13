#include "index/format/manifest.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/checksum.h"
#include "base/status.h"

namespace mrl::format {

disk::Schema ToDisk(const Schema& schema) {
  disk::Schema message;
  message.set_dim(schema.dim);
  for (const uint32_t dims : schema.ladder) message.add_ladder(dims);
  message.set_metric(static_cast<uint32_t>(schema.metric));
  message.set_storage(static_cast<uint32_t>(schema.storage));
  message.set_transform(static_cast<uint32_t>(schema.transform));
  message.set_rotation_checksum(schema.rotation.checksum);
  for (const Code& code : schema.codes) {
    disk::Code* entry = message.add_codes();
    entry->set_dims(code.dims);
    entry->set_bits(code.bits);
  }
  for (const Field& field : schema.fields) {
    disk::Field* entry = message.add_fields();
    entry->set_name(field.name);
    entry->set_type(static_cast<uint32_t>(field.type));
  }
  return message;
}

absl::StatusOr<Schema> FromDisk(const disk::Schema& message) {
  Schema schema;
  schema.dim = message.dim();
  schema.ladder.assign(message.ladder().begin(), message.ladder().end());
  schema.metric = static_cast<Metric>(message.metric());
  schema.storage = static_cast<StorageType>(message.storage());
  schema.transform = static_cast<Transform>(message.transform());
  schema.rotation.checksum = message.rotation_checksum();
  for (const disk::Code& code : message.codes()) schema.codes.push_back({code.dims(), code.bits()});
  for (const disk::Field& field : message.fields()) {
    schema.fields.push_back({field.name(), static_cast<FieldType>(field.type())});
  }
  const absl::Status valid = schema.Validate();
  if (!valid.ok()) return absl::DataLossError(absl::StrCat("manifest: ", valid.message()));
  return schema;
}

uint64_t SchemaHash(const Schema& schema) {
  std::string text = absl::StrCat(schema.dim, "|", FormatLadder(schema.ladder), "|",
                                  ToString(schema.metric), "|", ToString(schema.storage), "|",
                                  ToString(schema.transform), "|", FormatCodes(schema.codes));
  if (schema.rotation.checksum != 0) absl::StrAppend(&text, "|", schema.rotation.checksum);
  return Checksum(text.data(), text.size());
}

absl::StatusOr<disk::Manifest> ParseManifest(const std::string& bytes) {
  disk::Manifest manifest;
  if (!manifest.ParseFromString(bytes)) {
    return absl::DataLossError("manifest: the bytes are not a manifest");
  }
  if (manifest.format_version() > kManifestVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("the manifest has format version ", manifest.format_version(),
                     "; this program reads up to ", kManifestVersion, ": use a newer one"));
  }
  return manifest;
}

std::string SegmentFileName(uint32_t number) { return absl::StrFormat("%06u.seg", number); }

std::string SideFileName(uint32_t number, absl::string_view kind) {
  return absl::StrFormat("%06u.%s.idx", number, kind);
}

}  // namespace mrl::format
