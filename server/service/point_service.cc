#include "server/service/point_service.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "server/rpc/call.h"
#include "server/rpc/exchange_call.h"
#include "server/service/convert.h"
#include "server/service/points.h"

namespace mrl::server {
namespace {

// Holds what is to be written against the collection's quota, where it has one.
template <typename Points>
absl::Status CheckQuota(const Quotas::Held& held, const collection::LiveCollection& live,
                        const Points& points) {
  if (held.quota.rows_max == 0 && held.quota.memory_bytes_max == 0) return absl::OkStatus();
  const auto version = live.Read();
  const Schema& schema = version->schema();
  const auto is_new = [&version](const v1::PointWrite& point) {
    const auto id = FromProto(point.id(), "id");
    return !id.ok() || !funnel::Find(version->view(), *id).has_value();
  };
  const auto rows = std::count_if(points.begin(), points.end(), is_new);
  return CheckRoom(held, *version, static_cast<uint64_t>(rows),
                   points.size() * schema.vector_bytes());
}

// One stream of writes: the collection is looked up once, its quota each time.
class Writes final : public Exchange<v1::WritePointsRequest, v1::WritePointsResponse> {
 public:
  Writes(const Registry& registry, const Quotas& quotas) : registry_(registry), quotas_(quotas) {}

  absl::Status Answer(const v1::WritePointsRequest& request,
                      v1::WritePointsResponse* response) override {
    if (live_ == nullptr) {
      MRL_ASSIGN_OR_RETURN(live_, registry_.FindLive(request.collection()));
      name_ = request.collection();
    }
    if (!request.collection().empty() && request.collection() != name_) {
      return InvalidField("collection", absl::StrCat("collection is '", request.collection(),
                                                     "'; this stream writes to '", name_, "'"));
    }
    MRL_RETURN_IF_ERROR(CheckQuota(quotas_.Of(name_), *live_, request.upserts()));
    return WriteItems(*live_, request, response);
  }

 private:
  const Registry& registry_;
  const Quotas& quotas_;
  std::string name_;
  std::shared_ptr<collection::LiveCollection> live_;
};

}  // namespace

grpc::ServerUnaryReactor* PointService::UpsertPoints(grpc::CallbackServerContext* context,
                                                     const v1::UpsertPointsRequest* request,
                                                     v1::UpsertPointsResponse* response) {
  return UnaryCall<v1::UpsertPointsRequest, v1::UpsertPointsResponse>::Start(
      desk_, "UpsertPoints", context, request, response,
      [this](Call& call, const v1::UpsertPointsRequest& in, v1::UpsertPointsResponse* out) {
        MRL_ASSIGN_OR_RETURN(const auto live, registry_.FindLive(in.collection()));
        MRL_RETURN_IF_ERROR(CheckQuota(call.held(), *live, in.points()));
        return Upsert(registry_, in, out);
      });
}

grpc::ServerUnaryReactor* PointService::DeletePoints(grpc::CallbackServerContext* context,
                                                     const v1::DeletePointsRequest* request,
                                                     v1::DeletePointsResponse* response) {
  return UnaryCall<v1::DeletePointsRequest, v1::DeletePointsResponse>::Start(
      desk_, "DeletePoints", context, request, response,
      [this](Call&, const v1::DeletePointsRequest& in, v1::DeletePointsResponse* out) {
        return Delete(registry_, in, out);
      });
}

grpc::ServerUnaryReactor* PointService::UpdatePayload(grpc::CallbackServerContext* context,
                                                      const v1::UpdatePayloadRequest* request,
                                                      v1::UpdatePayloadResponse* response) {
  return UnaryCall<v1::UpdatePayloadRequest, v1::UpdatePayloadResponse>::Start(
      desk_, "UpdatePayload", context, request, response,
      [this](Call&, const v1::UpdatePayloadRequest& in, v1::UpdatePayloadResponse* out) {
        return server::UpdatePayload(registry_, in, out);
      });
}

grpc::ServerUnaryReactor* PointService::BatchGetPoints(grpc::CallbackServerContext* context,
                                                       const v1::BatchGetPointsRequest* request,
                                                       v1::BatchGetPointsResponse* response) {
  return UnaryCall<v1::BatchGetPointsRequest, v1::BatchGetPointsResponse>::Start(
      desk_, "BatchGetPoints", context, request, response,
      [this](Call&, const v1::BatchGetPointsRequest& in, v1::BatchGetPointsResponse* out) {
        return BatchGet(registry_, in, out);
      });
}

grpc::ServerUnaryReactor* PointService::ListPoints(grpc::CallbackServerContext* context,
                                                   const v1::ListPointsRequest* request,
                                                   v1::ListPointsResponse* response) {
  return UnaryCall<v1::ListPointsRequest, v1::ListPointsResponse>::Start(
      desk_, "ListPoints", context, request, response,
      [this](Call&, const v1::ListPointsRequest& in, v1::ListPointsResponse* out) {
        return ListPage(registry_, in, out);
      });
}

grpc::ServerUnaryReactor* PointService::CountPoints(grpc::CallbackServerContext* context,
                                                    const v1::CountPointsRequest* request,
                                                    v1::CountPointsResponse* response) {
  return UnaryCall<v1::CountPointsRequest, v1::CountPointsResponse>::Start(
      desk_, "CountPoints", context, request, response,
      [this](Call&, const v1::CountPointsRequest& in, v1::CountPointsResponse* out) {
        return Count(registry_, in, out);
      });
}

grpc::ServerBidiReactor<v1::WritePointsRequest, v1::WritePointsResponse>* PointService::WritePoints(
    grpc::CallbackServerContext* context) {
  return ExchangeCall<v1::WritePointsRequest, v1::WritePointsResponse>::Start(
      desk_, "WritePoints", context, std::make_unique<Writes>(registry_, desk_.quotas));
}

}  // namespace mrl::server
