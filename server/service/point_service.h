#pragma once

#include "mrl/v1/point.grpc.pb.h"
#include "server/registry.h"
#include "server/rpc/desk.h"

namespace mrl::server {

// Both arguments outlive the service. Thread-safe.
class PointService final : public v1::PointService::CallbackService {
 public:
  PointService(const Registry& registry, Desk& desk) : registry_(registry), desk_(desk) {}

  grpc::ServerUnaryReactor* UpsertPoints(grpc::CallbackServerContext* context,
                                         const v1::UpsertPointsRequest* request,
                                         v1::UpsertPointsResponse* response) override;
  grpc::ServerUnaryReactor* DeletePoints(grpc::CallbackServerContext* context,
                                         const v1::DeletePointsRequest* request,
                                         v1::DeletePointsResponse* response) override;
  grpc::ServerUnaryReactor* UpdatePayload(grpc::CallbackServerContext* context,
                                          const v1::UpdatePayloadRequest* request,
                                          v1::UpdatePayloadResponse* response) override;
  grpc::ServerUnaryReactor* BatchGetPoints(grpc::CallbackServerContext* context,
                                           const v1::BatchGetPointsRequest* request,
                                           v1::BatchGetPointsResponse* response) override;
  grpc::ServerUnaryReactor* ListPoints(grpc::CallbackServerContext* context,
                                       const v1::ListPointsRequest* request,
                                       v1::ListPointsResponse* response) override;
  grpc::ServerUnaryReactor* CountPoints(grpc::CallbackServerContext* context,
                                        const v1::CountPointsRequest* request,
                                        v1::CountPointsResponse* response) override;
  grpc::ServerBidiReactor<v1::WritePointsRequest, v1::WritePointsResponse>* WritePoints(
      grpc::CallbackServerContext* context) override;

 private:
  const Registry& registry_;
  Desk& desk_;
};

}  // namespace mrl::server
