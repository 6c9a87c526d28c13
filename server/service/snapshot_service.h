#pragma once

#include "mrl/v1/snapshot.grpc.pb.h"
#include "server/operations/operations.h"
#include "server/registry.h"
#include "server/rpc/desk.h"

namespace mrl::server {

// Both arguments outlive the service. Thread-safe.
class SnapshotService final : public v1::SnapshotService::CallbackService {
 public:
  SnapshotService(Registry& registry, Operations& operations, Desk& desk)
      : registry_(registry), operations_(operations), desk_(desk) {}

  grpc::ServerUnaryReactor* CreateSnapshot(grpc::CallbackServerContext* context,
                                           const v1::CreateSnapshotRequest* request,
                                           v1::Snapshot* response) override;
  grpc::ServerUnaryReactor* GetSnapshot(grpc::CallbackServerContext* context,
                                        const v1::GetSnapshotRequest* request,
                                        v1::Snapshot* response) override;
  grpc::ServerUnaryReactor* ListSnapshots(grpc::CallbackServerContext* context,
                                          const v1::ListSnapshotsRequest* request,
                                          v1::ListSnapshotsResponse* response) override;
  grpc::ServerUnaryReactor* DeleteSnapshot(grpc::CallbackServerContext* context,
                                           const v1::DeleteSnapshotRequest* request,
                                           google::protobuf::Empty* response) override;
  grpc::ServerWriteReactor<v1::DownloadSnapshotResponse>* DownloadSnapshot(
      grpc::CallbackServerContext* context, const v1::DownloadSnapshotRequest* request) override;
  grpc::ServerBidiReactor<v1::UploadSnapshotRequest, v1::UploadSnapshotResponse>* UploadSnapshot(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* RestoreSnapshot(grpc::CallbackServerContext* context,
                                            const v1::RestoreSnapshotRequest* request,
                                            google::longrunning::Operation* response) override;

 private:
  Registry& registry_;
  Operations& operations_;
  Desk& desk_;
};

}  // namespace mrl::server
