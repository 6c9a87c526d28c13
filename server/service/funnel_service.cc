#include "server/service/funnel_service.h"

#include "base/status.h"
#include "server/rpc/call.h"
#include "server/service/operation_service.h"
#include "server/service/profiles.h"
#include "server/service/quality.h"

namespace mrl::server {
namespace {

namespace lro = google::longrunning;

// Starts what `method` names, on the collection's own name, once the request was found in order.
template <typename Request>
absl::Status Begin(const Registry& registry, Operations& operations, const char* method,
                   const Request& request, lro::Operation* out) {
  MRL_RETURN_IF_ERROR(CheckRequest(registry, request));
  MRL_ASSIGN_OR_RETURN(const Registry::Entry entry, registry.Get(request.collection()));
  MRL_ASSIGN_OR_RETURN(const Operation started,
                       operations.Start(method, entry.path.name, request.SerializeAsString()));
  ToProto(started, out);
  return absl::OkStatus();
}

}  // namespace

grpc::ServerUnaryReactor* FunnelService::CreateProfile(grpc::CallbackServerContext* context,
                                                       const v1::CreateProfileRequest* request,
                                                       v1::Profile* response) {
  return UnaryCall<v1::CreateProfileRequest, v1::Profile>::Start(
      desk_, "CreateProfile", context, request, response,
      [this](Call&, const v1::CreateProfileRequest& in, v1::Profile* out) {
        return RunCreateProfile(registry_, in, out);
      });
}

grpc::ServerUnaryReactor* FunnelService::GetProfile(grpc::CallbackServerContext* context,
                                                    const v1::GetProfileRequest* request,
                                                    v1::Profile* response) {
  return UnaryCall<v1::GetProfileRequest, v1::Profile>::Start(
      desk_, "GetProfile", context, request, response,
      [this](Call&, const v1::GetProfileRequest& in, v1::Profile* out) {
        return RunGetProfile(registry_, in, out);
      });
}

grpc::ServerUnaryReactor* FunnelService::ListProfiles(grpc::CallbackServerContext* context,
                                                      const v1::ListProfilesRequest* request,
                                                      v1::ListProfilesResponse* response) {
  return UnaryCall<v1::ListProfilesRequest, v1::ListProfilesResponse>::Start(
      desk_, "ListProfiles", context, request, response,
      [this](Call&, const v1::ListProfilesRequest& in, v1::ListProfilesResponse* out) {
        return RunListProfiles(registry_, in, out);
      });
}

grpc::ServerUnaryReactor* FunnelService::UpdateProfile(grpc::CallbackServerContext* context,
                                                       const v1::UpdateProfileRequest* request,
                                                       v1::Profile* response) {
  return UnaryCall<v1::UpdateProfileRequest, v1::Profile>::Start(
      desk_, "UpdateProfile", context, request, response,
      [this](Call&, const v1::UpdateProfileRequest& in, v1::Profile* out) {
        return RunUpdateProfile(registry_, in, out);
      });
}

grpc::ServerUnaryReactor* FunnelService::DeleteProfile(grpc::CallbackServerContext* context,
                                                       const v1::DeleteProfileRequest* request,
                                                       google::protobuf::Empty* response) {
  return UnaryCall<v1::DeleteProfileRequest, google::protobuf::Empty>::Start(
      desk_, "DeleteProfile", context, request, response,
      [this](Call&, const v1::DeleteProfileRequest& in, google::protobuf::Empty*) {
        return RunDeleteProfile(registry_, in);
      });
}

grpc::ServerUnaryReactor* FunnelService::MeasureRecall(grpc::CallbackServerContext* context,
                                                       const v1::MeasureRecallRequest* request,
                                                       lro::Operation* response) {
  return UnaryCall<v1::MeasureRecallRequest, lro::Operation>::Start(
      desk_, "MeasureRecall", context, request, response,
      [this](Call&, const v1::MeasureRecallRequest& in, lro::Operation* out) {
        return Begin(registry_, operations_, "MeasureRecall", in, out);
      });
}

grpc::ServerUnaryReactor* FunnelService::TuneFunnel(grpc::CallbackServerContext* context,
                                                    const v1::TuneFunnelRequest* request,
                                                    lro::Operation* response) {
  return UnaryCall<v1::TuneFunnelRequest, lro::Operation>::Start(
      desk_, "TuneFunnel", context, request, response,
      [this](Call&, const v1::TuneFunnelRequest& in, lro::Operation* out) {
        return Begin(registry_, operations_, "TuneFunnel", in, out);
      });
}

grpc::ServerUnaryReactor* FunnelService::AnalyzeDimensions(
    grpc::CallbackServerContext* context, const v1::AnalyzeDimensionsRequest* request,
    lro::Operation* response) {
  return UnaryCall<v1::AnalyzeDimensionsRequest, lro::Operation>::Start(
      desk_, "AnalyzeDimensions", context, request, response,
      [this](Call&, const v1::AnalyzeDimensionsRequest& in, lro::Operation* out) {
        return Begin(registry_, operations_, "AnalyzeDimensions", in, out);
      });
}

}  // namespace mrl::server
