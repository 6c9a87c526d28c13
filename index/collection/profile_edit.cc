#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/collection/collection_impl.h"
#include "index/collection/database.h"
#include "index/collection/layout.h"
#include "index/collection/live_impl.h"
#include "index/collection/manifest_reader.h"
#include "index/collection/profiles.h"

namespace mrl::collection {
namespace {

// The manifest with the change, which `accept` has to agree to before it is made.
absl::StatusOr<Manifest> Edit(FileSystem& files, const std::string& path, const ProfileEdit& edit,
                              const std::function<absl::Status(const Manifest&)>& accept) {
  MRL_RETURN_IF_ERROR(ExpectCollection(files, path));
  MRL_ASSIGN_OR_RETURN(const std::unique_ptr<Database> database,
                       Database::OpenForWriting(DatabasePath(path)));
  absl::StatusOr<Manifest> manifest = ReadManifest(*database);
  if (!manifest.ok()) return Annotate(manifest.status(), path);
  MRL_RETURN_IF_ERROR(accept(*manifest));
  MRL_RETURN_IF_ERROR(edit(manifest->profiles));
  MRL_RETURN_IF_ERROR(manifest->profiles.Validate());
  MRL_RETURN_IF_ERROR(Annotate(database->PutManifest(manifest->Serialize()), path));
  MRL_RETURN_IF_ERROR(Annotate(database->Close(), path));
  return manifest;
}

}  // namespace

absl::StatusOr<funnel::ProfileSet> ReadProfiles(FileSystem& files, const std::string& path) {
  MRL_ASSIGN_OR_RETURN(Manifest manifest, ReadManifest(files, path));
  return std::move(manifest.profiles);
}

absl::Status EditProfiles(FileSystem& files, const std::string& path, const ProfileEdit& edit) {
  return Edit(files, path, edit, [](const Manifest&) { return absl::OkStatus(); }).status();
}

absl::StatusOr<std::shared_ptr<const Collection>> Collection::WithProfiles(
    const ProfileEdit& edit) const {
  const auto is_this = [this](const Manifest& found) {
    if (found.uuid == uuid() && found.generation == generation()) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat(impl_->path_, " holds another version than is open; reload it first"));
  };
  MRL_ASSIGN_OR_RETURN(Manifest changed, Edit(impl_->files_, impl_->path_, edit, is_this));
  auto manifest = std::make_shared<Manifest>(*impl_->manifest_);
  manifest->profiles = std::move(changed.profiles);
  return std::shared_ptr<const Collection>(new Collection(std::make_unique<Impl>(
      impl_->files_, impl_->path_, std::move(manifest), impl_->view_, impl_->sequence_)));
}

absl::Status LiveCollection::Impl::EditProfiles(const ProfileEdit& edit) {
  absl::MutexLock lock(&write_mutex_);
  MRL_RETURN_IF_ERROR(CheckWritable());
  auto next = std::make_shared<Manifest>(*manifest_);
  MRL_RETURN_IF_ERROR(edit(next->profiles));
  MRL_RETURN_IF_ERROR(next->profiles.Validate());
  Batch batch = database_->NewBatch();
  batch.PutManifest(next->Serialize());
  const absl::Status committed = database_->Commit(batch, /*sync=*/true);
  if (!committed.ok()) return Fail(committed);
  absl::MutexLock state_lock(&state_mutex_);
  manifest_ = std::move(next);
  version_ = nullptr;
  return absl::OkStatus();
}

absl::Status LiveCollection::EditProfiles(const ProfileEdit& edit) {
  return impl_->EditProfiles(edit);
}

}  // namespace mrl::collection
