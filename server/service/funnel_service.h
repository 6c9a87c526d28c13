#pragma once

#include "mrl/v1/funnel.grpc.pb.h"
#include "server/operations/operations.h"
#include "server/registry.h"
#include "server/rpc/desk.h"

namespace mrl::server {

// All arguments outlive the service. Thread-safe.
class FunnelService final : public v1::FunnelService::CallbackService {
 public:
  FunnelService(Registry& registry, Operations& operations, Desk& desk)
      : registry_(registry), operations_(operations), desk_(desk) {}

  grpc::ServerUnaryReactor* CreateProfile(grpc::CallbackServerContext* context,
                                          const v1::CreateProfileRequest* request,
                                          v1::Profile* response) override;
  grpc::ServerUnaryReactor* GetProfile(grpc::CallbackServerContext* context,
                                       const v1::GetProfileRequest* request,
                                       v1::Profile* response) override;
  grpc::ServerUnaryReactor* ListProfiles(grpc::CallbackServerContext* context,
                                         const v1::ListProfilesRequest* request,
                                         v1::ListProfilesResponse* response) override;
  grpc::ServerUnaryReactor* UpdateProfile(grpc::CallbackServerContext* context,
                                          const v1::UpdateProfileRequest* request,
                                          v1::Profile* response) override;
  grpc::ServerUnaryReactor* DeleteProfile(grpc::CallbackServerContext* context,
                                          const v1::DeleteProfileRequest* request,
                                          google::protobuf::Empty* response) override;
  grpc::ServerUnaryReactor* MeasureRecall(grpc::CallbackServerContext* context,
                                          const v1::MeasureRecallRequest* request,
                                          google::longrunning::Operation* response) override;
  grpc::ServerUnaryReactor* TuneFunnel(grpc::CallbackServerContext* context,
                                       const v1::TuneFunnelRequest* request,
                                       google::longrunning::Operation* response) override;
  grpc::ServerUnaryReactor* AnalyzeDimensions(grpc::CallbackServerContext* context,
                                              const v1::AnalyzeDimensionsRequest* request,
                                              google::longrunning::Operation* response) override;

 private:
  Registry& registry_;
  Operations& operations_;
  Desk& desk_;
};

}  // namespace mrl::server
