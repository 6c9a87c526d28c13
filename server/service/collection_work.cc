#include "server/service/collection_work.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "server/rpc/error.h"
#include "server/service/convert.h"
#include "server/service/operation_service.h"

namespace mrl::server {
namespace {

constexpr char kFields[] = "fields";

collection::Watch WatchOf(Operations::Control& control) {
  return {.progress = [&control](uint64_t done, uint64_t all) { control.Report(done, all); },
          .stopped = [&control] { return control.stopped(); }};
}

// What a collection is now, as the end of an operation.
absl::StatusOr<std::string> PackedCollection(const Registry& registry, const std::string& name) {
  MRL_ASSIGN_OR_RETURN(const Registry::Entry entry, registry.Get(name));
  v1::Collection collection;
  ToProto(entry, &collection);
  return Packed(collection);
}

absl::Status CheckMask(const google::protobuf::FieldMask& mask) {
  if (mask.paths().empty()) {
    return InvalidField("update_mask", "update_mask is empty; `fields` may change");
  }
  for (const std::string& path : mask.paths()) {
    if (path == kFields) continue;
    return InvalidField("update_mask", absl::StrCat("update_mask names '", path.substr(0, 64),
                                                    "'; only `fields` may change"));
  }
  return absl::OkStatus();
}

}  // namespace

Operations::Runner MakeUpdater(const Registry& registry) {
  return [&registry](const Operation& operation,
                     Operations::Control& control) -> absl::StatusOr<std::string> {
    MRL_ASSIGN_OR_RETURN(const auto request, RequestOf<v1::UpdateCollectionRequest>(operation));
    MRL_ASSIGN_OR_RETURN(const auto live, registry.FindLive(operation.collection));
    MRL_ASSIGN_OR_RETURN(const std::vector<Field> fields, FromProto(request.collection().fields()));
    MRL_RETURN_IF_ERROR(live->SetFields(fields, WatchOf(control)));
    return PackedCollection(registry, operation.collection);
  };
}

Operations::Runner MakeCompactor(const Registry& registry) {
  return [&registry](const Operation& operation,
                     Operations::Control& control) -> absl::StatusOr<std::string> {
    MRL_ASSIGN_OR_RETURN(const auto live, registry.FindLive(operation.collection));
    MRL_ASSIGN_OR_RETURN(const uint64_t written, live->Compact(WatchOf(control)));
    const auto version = live->Read();
    v1::CompactCollectionResponse response;
    for (const auto& part : version->view().parts) {
      const bool is_tail = part.segment->info().number == 0;
      if (!is_tail) response.set_segments(response.segments() + 1);
    }
    response.set_rows(version->rows());
    response.set_rows_written(written);
    return Packed(response);
  };
}

Operations::Runner MakeRestorer(Registry& registry) {
  return [&registry](const Operation& operation,
                     Operations::Control& control) -> absl::StatusOr<std::string> {
    MRL_ASSIGN_OR_RETURN(const auto request, RequestOf<v1::RestoreSnapshotRequest>(operation));
    MRL_ASSIGN_OR_RETURN(const SnapshotFolder* folder, registry.snapshots());
    // The collection's folder has the operation's id, so that one that is begun anew knows whether
    // it had ended.
    MRL_RETURN_IF_ERROR(registry.Restore(request.target(),
                                         folder->PathOf(request.collection(), request.name()),
                                         operation.id, WatchOf(control)));
    return PackedCollection(registry, request.target());
  };
}

absl::Status StartUpdate(const Registry& registry, Operations& operations,
                         const v1::UpdateCollectionRequest& request,
                         google::longrunning::Operation* response) {
  const std::string& name = request.collection().name();
  MRL_RETURN_IF_ERROR(registry.FindLive(name).status());
  MRL_RETURN_IF_ERROR(CheckMask(request.update_mask()));
  MRL_RETURN_IF_ERROR(
      WithField(FromProto(request.collection().fields()).status(), "collection.fields"));
  MRL_ASSIGN_OR_RETURN(const Registry::Entry entry, registry.Get(name));
  if (entry.path.name != name) {
    return absl::FailedPreconditionError(
        absl::StrCat("'", name, "' is an alias of '", entry.path.name,
                     "'; a collection is changed by its own name"));
  }
  if (request.validate_only()) {
    v1::Collection changed;
    ToProto(entry, &changed);
    *changed.mutable_fields() = request.collection().fields();
    response->set_done(true);
    response->mutable_response()->PackFrom(changed);
    return absl::OkStatus();
  }
  MRL_ASSIGN_OR_RETURN(const Operation started,
                       operations.Start("UpdateCollection", name, request.SerializeAsString()));
  ToProto(started, response);
  return absl::OkStatus();
}

absl::Status StartCompaction(const Registry& registry, Operations& operations,
                             const v1::CompactCollectionRequest& request,
                             google::longrunning::Operation* response) {
  MRL_RETURN_IF_ERROR(registry.FindLive(request.collection()).status());
  MRL_ASSIGN_OR_RETURN(const Registry::Entry entry, registry.Get(request.collection()));
  MRL_ASSIGN_OR_RETURN(
      const Operation started,
      operations.Start("CompactCollection", entry.path.name, request.SerializeAsString()));
  ToProto(started, response);
  return absl::OkStatus();
}

absl::Status StartRestore(const Registry& registry, Operations& operations, const Caller& caller,
                          const v1::RestoreSnapshotRequest& request,
                          google::longrunning::Operation* response) {
  MRL_RETURN_IF_ERROR(WithField(collection::CheckName(request.collection()), "collection"));
  MRL_RETURN_IF_ERROR(WithField(collection::CheckName(request.name()), "name"));
  MRL_RETURN_IF_ERROR(WithField(collection::CheckName(request.target()), "target"));
  if (!caller.MaySee(request.target())) {
    return absl::PermissionDeniedError(
        absl::StrCat("key '", caller.id(), "' does not list '", request.target(), "'"));
  }
  MRL_ASSIGN_OR_RETURN(const SnapshotFolder* folder, registry.snapshots());
  MRL_RETURN_IF_ERROR(folder->Get(request.collection(), request.name()).status());
  MRL_RETURN_IF_ERROR(registry.CheckFree(request.target()));
  MRL_ASSIGN_OR_RETURN(
      const Operation started,
      operations.Start("RestoreSnapshot", request.target(), request.SerializeAsString()));
  ToProto(started, response);
  return absl::OkStatus();
}

}  // namespace mrl::server
