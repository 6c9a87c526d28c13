#include <memory>
#include <string>
#include <utility>

#include "base/status.h"
#include "index/collection/database.h"
#include "index/collection/layout.h"
#include "index/collection/manifest_reader.h"
#include "index/collection/profiles.h"

namespace mrl::collection {

absl::StatusOr<funnel::ProfileSet> ReadProfiles(FileSystem& files, const std::string& path) {
  MRL_ASSIGN_OR_RETURN(Manifest manifest, ReadManifest(files, path));
  return std::move(manifest.profiles);
}

absl::Status EditProfiles(FileSystem& files, const std::string& path, const ProfileEdit& edit) {
  MRL_RETURN_IF_ERROR(ExpectCollection(files, path));
  MRL_ASSIGN_OR_RETURN(const std::unique_ptr<Database> database,
                       Database::OpenForWriting(DatabasePath(path)));
  MRL_ASSIGN_OR_RETURN(const std::string bytes, database->GetManifest());
  absl::StatusOr<Manifest> manifest = Manifest::Parse(bytes);
  if (!manifest.ok()) return Annotate(manifest.status(), path);
  MRL_RETURN_IF_ERROR(edit(manifest->profiles));
  MRL_RETURN_IF_ERROR(manifest->profiles.Validate());
  MRL_RETURN_IF_ERROR(Annotate(database->PutManifest(manifest->Serialize()), path));
  return Annotate(database->Close(), path);
}

}  // namespace mrl::collection
