#include "index/coarse/side_file.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/format/manifest.h"

namespace mrl::coarse {

format::FileHeader SideFileHeader(format::FileKind kind, const std::string& segment_uuid,
                                  const Schema& schema) {
  return {.kind = kind,
          .uuid = format::NewUuid(),
          .bound_uuid = segment_uuid,
          .schema_hash = format::SchemaHash(schema)};
}

absl::StatusOr<std::unique_ptr<format::SectionFileReader>> OpenSideFile(
    FileSystem& files, const std::string& path, format::FileKind kind,
    const store::Segment& segment) {
  MRL_ASSIGN_OR_RETURN(auto reader, format::SectionFileReader::Open(files, path, kind));
  if (reader->header().bound_uuid != segment.info().uuid) {
    return absl::DataLossError(absl::StrCat(path, ": belongs to segment ",
                                            reader->header().bound_uuid, ", not to ",
                                            segment.info().uuid));
  }
  if (reader->header().schema_hash != format::SchemaHash(segment.schema())) {
    return absl::DataLossError(absl::StrCat(path, ": was made for another schema"));
  }
  return reader;
}

}  // namespace mrl::coarse
