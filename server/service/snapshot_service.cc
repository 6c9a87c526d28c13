#include "server/service/snapshot_service.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "server/limits.h"
#include "server/rpc/call.h"
#include "server/rpc/exchange_call.h"
#include "server/service/collection_work.h"
#include "server/service/convert.h"

namespace mrl::server {
namespace {

void ToProto(const std::string& collection, const std::string& name,
             const collection::Snapshot& snapshot, v1::Snapshot* out) {
  out->set_collection(collection);
  out->set_name(name);
  out->set_collection_uuid(snapshot.collection_uuid);
  out->set_generation(snapshot.generation);
  out->set_sequence(snapshot.sequence);
  out->set_rows(snapshot.rows);
  out->set_bytes(snapshot.bytes());
  out->set_files(static_cast<uint32_t>(snapshot.files.size()));
  out->mutable_create_time()->set_seconds(snapshot.created_unix_s);
}

void ToProto(const SnapshotFolder::Entry& entry, v1::Snapshot* out) {
  ToProto(entry.collection, entry.name, entry.snapshot, out);
}

absl::Status CheckNames(const std::string& collection, const std::string& name) {
  MRL_RETURN_IF_ERROR(WithField(collection::CheckName(collection), "collection"));
  return WithField(collection::CheckName(name), "name");
}

absl::Status Create(Registry& registry, const v1::CreateSnapshotRequest& request,
                    v1::Snapshot* response) {
  MRL_RETURN_IF_ERROR(WithField(collection::CheckName(request.name()), "name"));
  MRL_ASSIGN_OR_RETURN(const auto live, registry.FindLive(request.collection()));
  MRL_ASSIGN_OR_RETURN(const Registry::Entry entry, registry.Get(request.collection()));
  MRL_ASSIGN_OR_RETURN(SnapshotFolder * folder, registry.snapshots());
  MRL_ASSIGN_OR_RETURN(const SnapshotFolder::Entry made,
                       folder->Create(entry.path.name, request.name(), *live));
  ToProto(made, response);
  return absl::OkStatus();
}

absl::Status List(const Registry& registry, const v1::ListSnapshotsRequest& request,
                  v1::ListSnapshotsResponse* response) {
  MRL_RETURN_IF_ERROR(WithField(collection::CheckName(request.collection()), "collection"));
  MRL_ASSIGN_OR_RETURN(const SnapshotFolder* folder, registry.snapshots());
  MRL_ASSIGN_OR_RETURN(const auto entries, folder->List(request.collection()));
  for (const SnapshotFolder::Entry& entry : entries) ToProto(entry, response->add_snapshots());
  return absl::OkStatus();
}

class DownloadSource final : public ChunkSource<v1::DownloadSnapshotResponse> {
 public:
  explicit DownloadSource(std::unique_ptr<collection::ArchiveReader> archive)
      : archive_(std::move(archive)) {}

  absl::StatusOr<bool> Next(Call&, v1::DownloadSnapshotResponse* chunk) override {
    MRL_ASSIGN_OR_RETURN(*chunk->mutable_data(), archive_->Next(Limits::kBatchChunkBytes));
    return !chunk->data().empty();
  }

 private:
  const std::unique_ptr<collection::ArchiveReader> archive_;
};

absl::StatusOr<std::unique_ptr<ChunkSource<v1::DownloadSnapshotResponse>>> OpenDownload(
    const Registry& registry, const v1::DownloadSnapshotRequest& request) {
  MRL_RETURN_IF_ERROR(CheckNames(request.collection(), request.name()));
  MRL_ASSIGN_OR_RETURN(const SnapshotFolder* folder, registry.snapshots());
  MRL_ASSIGN_OR_RETURN(auto archive, folder->Download(request.collection(), request.name()));
  return std::make_unique<DownloadSource>(std::move(archive));
}

// One snapshot that comes in pieces.
class Uploading final : public Exchange<v1::UploadSnapshotRequest, v1::UploadSnapshotResponse> {
 public:
  explicit Uploading(Registry& registry) : registry_(registry) {}

  absl::Status Answer(const v1::UploadSnapshotRequest& request,
                      v1::UploadSnapshotResponse* response) override {
    if (upload_ == nullptr) MRL_RETURN_IF_ERROR(Start(request));
    if (request.data().size() > Limits::kReplyBytes) {
      return InvalidField("data", absl::StrCat("data has ", request.data().size(),
                                               " bytes; the limit is ", Limits::kReplyBytes));
    }
    MRL_RETURN_IF_ERROR(WithField(upload_->Append(request.data()), "data"));
    bytes_ += request.data().size();
    response->set_bytes(bytes_);
    if (const collection::Snapshot* snapshot = upload_->done()) {
      ToProto(collection_, name_, *snapshot, response->mutable_snapshot());
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Start(const v1::UploadSnapshotRequest& request) {
    MRL_RETURN_IF_ERROR(CheckNames(request.collection(), request.name()));
    MRL_ASSIGN_OR_RETURN(SnapshotFolder * folder, registry_.snapshots());
    MRL_ASSIGN_OR_RETURN(upload_, folder->StartUpload(request.collection(), request.name()));
    collection_ = request.collection();
    name_ = request.name();
    return absl::OkStatus();
  }

  Registry& registry_;
  std::string collection_;
  std::string name_;
  uint64_t bytes_ = 0;
  std::unique_ptr<SnapshotFolder::Upload> upload_;
};

}  // namespace

grpc::ServerUnaryReactor* SnapshotService::CreateSnapshot(grpc::CallbackServerContext* context,
                                                          const v1::CreateSnapshotRequest* request,
                                                          v1::Snapshot* response) {
  return UnaryCall<v1::CreateSnapshotRequest, v1::Snapshot>::Start(
      desk_, "CreateSnapshot", context, request, response,
      [this](Call&, const v1::CreateSnapshotRequest& in, v1::Snapshot* out) {
        return Create(registry_, in, out);
      });
}

grpc::ServerUnaryReactor* SnapshotService::GetSnapshot(grpc::CallbackServerContext* context,
                                                       const v1::GetSnapshotRequest* request,
                                                       v1::Snapshot* response) {
  return UnaryCall<v1::GetSnapshotRequest, v1::Snapshot>::Start(
      desk_, "GetSnapshot", context, request, response,
      [this](Call&, const v1::GetSnapshotRequest& in, v1::Snapshot* out) -> absl::Status {
        MRL_RETURN_IF_ERROR(CheckNames(in.collection(), in.name()));
        MRL_ASSIGN_OR_RETURN(const SnapshotFolder* folder, registry_.snapshots());
        MRL_ASSIGN_OR_RETURN(const SnapshotFolder::Entry entry,
                             folder->Get(in.collection(), in.name()));
        ToProto(entry, out);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* SnapshotService::ListSnapshots(grpc::CallbackServerContext* context,
                                                         const v1::ListSnapshotsRequest* request,
                                                         v1::ListSnapshotsResponse* response) {
  return UnaryCall<v1::ListSnapshotsRequest, v1::ListSnapshotsResponse>::Start(
      desk_, "ListSnapshots", context, request, response,
      [this](Call&, const v1::ListSnapshotsRequest& in, v1::ListSnapshotsResponse* out) {
        return List(registry_, in, out);
      });
}

grpc::ServerUnaryReactor* SnapshotService::DeleteSnapshot(grpc::CallbackServerContext* context,
                                                          const v1::DeleteSnapshotRequest* request,
                                                          google::protobuf::Empty* response) {
  return UnaryCall<v1::DeleteSnapshotRequest, google::protobuf::Empty>::Start(
      desk_, "DeleteSnapshot", context, request, response,
      [this](Call&, const v1::DeleteSnapshotRequest& in, google::protobuf::Empty*) -> absl::Status {
        MRL_RETURN_IF_ERROR(CheckNames(in.collection(), in.name()));
        MRL_ASSIGN_OR_RETURN(SnapshotFolder * folder, registry_.snapshots());
        return folder->Delete(in.collection(), in.name());
      });
}

grpc::ServerWriteReactor<v1::DownloadSnapshotResponse>* SnapshotService::DownloadSnapshot(
    grpc::CallbackServerContext* context, const v1::DownloadSnapshotRequest* request) {
  return StreamCall<v1::DownloadSnapshotResponse>::Start(
      desk_, "DownloadSnapshot", context, request,
      [this, request](Call&) { return OpenDownload(registry_, *request); });
}

grpc::ServerBidiReactor<v1::UploadSnapshotRequest, v1::UploadSnapshotResponse>*
SnapshotService::UploadSnapshot(grpc::CallbackServerContext* context) {
  return ExchangeCall<v1::UploadSnapshotRequest, v1::UploadSnapshotResponse>::Start(
      desk_, "UploadSnapshot", context, std::make_unique<Uploading>(registry_));
}

grpc::ServerUnaryReactor* SnapshotService::RestoreSnapshot(
    grpc::CallbackServerContext* context, const v1::RestoreSnapshotRequest* request,
    google::longrunning::Operation* response) {
  return UnaryCall<v1::RestoreSnapshotRequest, google::longrunning::Operation>::Start(
      desk_, "RestoreSnapshot", context, request, response,
      [this](Call& call, const v1::RestoreSnapshotRequest& in,
             google::longrunning::Operation* out) {
        return StartRestore(registry_, operations_, call.caller(), in, out);
      });
}

}  // namespace mrl::server
