#include "client/cpp/connection.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "google/longrunning/operations.grpc.pb.h"
#include "mrl/v1/collection.grpc.pb.h"
#include "mrl/v1/funnel.grpc.pb.h"
#include "mrl/v1/index.grpc.pb.h"
#include "mrl/v1/point.grpc.pb.h"
#include "mrl/v1/search.grpc.pb.h"
#include "mrl/v1/server.grpc.pb.h"
#include "mrl/v1/snapshot.grpc.pb.h"

namespace mrl::client {
namespace {

constexpr char kHealthCheck[] = "/grpc.health.v1.Health/Check";

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

// health.proto is in no package that the build needs, and its two messages are one field each:
// HealthCheckRequest { string service = 1; } and HealthCheckResponse { enum status = 1; SERVING 1
// }.
grpc::ByteBuffer EncodeHealthRequest(const std::string& service) {
  std::string bytes;
  if (!service.empty()) {
    bytes.push_back('\x0a');
    size_t length = service.size();
    for (; length >= 0x80; length >>= 7) bytes.push_back(static_cast<char>(length | 0x80));
    bytes.push_back(static_cast<char>(length));
    bytes += service;
  }
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

bool DecodeServing(const grpc::ByteBuffer& response) {
  grpc::Slice slice;
  if (!response.DumpToSingleSlice(&slice).ok()) return false;
  return slice.size() == 2 && slice.begin()[0] == 0x08 && slice.begin()[1] == 1;
}

class GrpcConnection final : public Connection {
 public:
  GrpcConnection(std::shared_ptr<grpc::Channel> channel, const ConnectionOptions& options)
      : timeout_(options.timeout),
        authorization_(options.api_key.empty() ? "" : absl::StrCat("Bearer ", options.api_key)),
        search_(v1::SearchService::NewStub(channel)),
        collections_(v1::CollectionService::NewStub(channel)),
        points_(v1::PointService::NewStub(channel)),
        funnels_(v1::FunnelService::NewStub(channel)),
        indexes_(v1::IndexService::NewStub(channel)),
        operations_(google::longrunning::Operations::NewStub(channel)),
        snapshots_(v1::SnapshotService::NewStub(channel)),
        server_(v1::ServerService::NewStub(channel)),
        generic_(channel) {}

  absl::StatusOr<v1::SearchResponse> Search(const v1::SearchRequest& request) override {
    return Unary<v1::SearchResponse>(*search_, &v1::SearchService::Stub::Search, request);
  }
  absl::Status BatchSearch(
      const v1::BatchSearchRequest& request,
      const std::function<absl::Status(const v1::BatchSearchResponse&)>& chunk) override {
    grpc::ClientContext context;
    Prepare(&context);
    return ReadAll(context, *search_->BatchSearch(&context, request), chunk);
  }
  absl::Status ProgressiveSearch(
      const v1::SearchRequest& request,
      const std::function<absl::Status(const v1::ProgressiveSearchResponse&)>& stage) override {
    grpc::ClientContext context;
    Prepare(&context);
    return ReadAll(context, *search_->ProgressiveSearch(&context, request), stage);
  }
  absl::StatusOr<v1::ClassifyResponse> Classify(const v1::ClassifyRequest& request) override {
    return Unary<v1::ClassifyResponse>(*search_, &v1::SearchService::Stub::Classify, request);
  }
  absl::StatusOr<v1::ExplainSearchResponse> ExplainSearch(
      const v1::ExplainSearchRequest& request) override {
    return Unary<v1::ExplainSearchResponse>(*search_, &v1::SearchService::Stub::ExplainSearch,
                                            request);
  }
  absl::StatusOr<v1::Collection> GetCollection(const v1::GetCollectionRequest& request) override {
    return Unary<v1::Collection>(*collections_, &v1::CollectionService::Stub::GetCollection,
                                 request);
  }
  absl::StatusOr<v1::ListCollectionsResponse> ListCollections(
      const v1::ListCollectionsRequest& request) override {
    return Unary<v1::ListCollectionsResponse>(
        *collections_, &v1::CollectionService::Stub::ListCollections, request);
  }
  absl::StatusOr<v1::CollectionStats> GetCollectionStats(
      const v1::GetCollectionStatsRequest& request) override {
    return Unary<v1::CollectionStats>(*collections_,
                                      &v1::CollectionService::Stub::GetCollectionStats, request);
  }
  absl::StatusOr<v1::Collection> ReloadCollection(
      const v1::ReloadCollectionRequest& request) override {
    return Unary<v1::Collection>(*collections_, &v1::CollectionService::Stub::ReloadCollection,
                                 request);
  }
  absl::StatusOr<v1::Collection> CreateCollection(
      const v1::CreateCollectionRequest& request) override {
    return Unary<v1::Collection>(*collections_, &v1::CollectionService::Stub::CreateCollection,
                                 request);
  }
  absl::StatusOr<google::longrunning::Operation> UpdateCollection(
      const v1::UpdateCollectionRequest& request) override {
    return Unary<google::longrunning::Operation>(
        *collections_, &v1::CollectionService::Stub::UpdateCollection, request);
  }
  absl::StatusOr<google::longrunning::Operation> CompactCollection(
      const v1::CompactCollectionRequest& request) override {
    return Unary<google::longrunning::Operation>(
        *collections_, &v1::CollectionService::Stub::CompactCollection, request);
  }
  absl::Status DeleteCollection(const v1::DeleteCollectionRequest& request) override {
    return Unary<google::protobuf::Empty>(*collections_,
                                          &v1::CollectionService::Stub::DeleteCollection, request)
        .status();
  }
  absl::StatusOr<v1::BatchUpdateAliasesResponse> BatchUpdateAliases(
      const v1::BatchUpdateAliasesRequest& request) override {
    return Unary<v1::BatchUpdateAliasesResponse>(
        *collections_, &v1::CollectionService::Stub::BatchUpdateAliases, request);
  }
  absl::StatusOr<v1::ListAliasesResponse> ListAliases(
      const v1::ListAliasesRequest& request) override {
    return Unary<v1::ListAliasesResponse>(*collections_, &v1::CollectionService::Stub::ListAliases,
                                          request);
  }
  absl::StatusOr<google::longrunning::Operation> BuildIndex(
      const v1::BuildIndexRequest& request) override {
    return Unary<google::longrunning::Operation>(*indexes_, &v1::IndexService::Stub::BuildIndex,
                                                 request);
  }
  absl::StatusOr<v1::Index> ActivateIndex(const v1::ActivateIndexRequest& request) override {
    return Unary<v1::Index>(*indexes_, &v1::IndexService::Stub::ActivateIndex, request);
  }
  absl::StatusOr<v1::ListIndexesResponse> ListIndexes(
      const v1::ListIndexesRequest& request) override {
    return Unary<v1::ListIndexesResponse>(*indexes_, &v1::IndexService::Stub::ListIndexes, request);
  }
  absl::Status DeleteIndex(const v1::DeleteIndexRequest& request) override {
    return Unary<google::protobuf::Empty>(*indexes_, &v1::IndexService::Stub::DeleteIndex, request)
        .status();
  }
  absl::StatusOr<google::longrunning::Operation> GetOperation(
      const google::longrunning::GetOperationRequest& request) override {
    return Unary<google::longrunning::Operation>(
        *operations_, &google::longrunning::Operations::Stub::GetOperation, request);
  }
  absl::StatusOr<google::longrunning::ListOperationsResponse> ListOperations(
      const google::longrunning::ListOperationsRequest& request) override {
    return Unary<google::longrunning::ListOperationsResponse>(
        *operations_, &google::longrunning::Operations::Stub::ListOperations, request);
  }
  absl::Status CancelOperation(
      const google::longrunning::CancelOperationRequest& request) override {
    return Unary<google::protobuf::Empty>(
               *operations_, &google::longrunning::Operations::Stub::CancelOperation, request)
        .status();
  }
  absl::Status DeleteOperation(
      const google::longrunning::DeleteOperationRequest& request) override {
    return Unary<google::protobuf::Empty>(
               *operations_, &google::longrunning::Operations::Stub::DeleteOperation, request)
        .status();
  }
  absl::StatusOr<v1::UpsertPointsResponse> UpsertPoints(
      const v1::UpsertPointsRequest& request) override {
    return Unary<v1::UpsertPointsResponse>(*points_, &v1::PointService::Stub::UpsertPoints,
                                           request);
  }
  absl::StatusOr<v1::UpdatePayloadResponse> UpdatePayload(
      const v1::UpdatePayloadRequest& request) override {
    return Unary<v1::UpdatePayloadResponse>(*points_, &v1::PointService::Stub::UpdatePayload,
                                            request);
  }
  absl::StatusOr<v1::BatchGetPointsResponse> BatchGetPoints(
      const v1::BatchGetPointsRequest& request) override {
    return Unary<v1::BatchGetPointsResponse>(*points_, &v1::PointService::Stub::BatchGetPoints,
                                             request);
  }
  absl::Status WritePoints(
      const std::function<absl::StatusOr<std::optional<v1::WritePointsRequest>>()>& next,
      const std::function<void(const v1::WritePointsResponse&)>& answer) override {
    grpc::ClientContext context;
    Prepare(&context);
    auto stream = points_->WritePoints(&context);
    return Exchange<v1::WritePointsRequest, v1::WritePointsResponse>(context, *stream, next,
                                                                     answer);
  }
  absl::StatusOr<v1::CountPointsResponse> CountPoints(
      const v1::CountPointsRequest& request) override {
    return Unary<v1::CountPointsResponse>(*points_, &v1::PointService::Stub::CountPoints, request);
  }
  absl::StatusOr<v1::ListPointsResponse> ListPoints(const v1::ListPointsRequest& request) override {
    return Unary<v1::ListPointsResponse>(*points_, &v1::PointService::Stub::ListPoints, request);
  }
  absl::StatusOr<v1::DeletePointsResponse> DeletePoints(
      const v1::DeletePointsRequest& request) override {
    return Unary<v1::DeletePointsResponse>(*points_, &v1::PointService::Stub::DeletePoints,
                                           request);
  }
  absl::StatusOr<v1::Snapshot> CreateSnapshot(const v1::CreateSnapshotRequest& request) override {
    return Unary<v1::Snapshot>(*snapshots_, &v1::SnapshotService::Stub::CreateSnapshot, request);
  }
  absl::StatusOr<v1::Snapshot> GetSnapshot(const v1::GetSnapshotRequest& request) override {
    return Unary<v1::Snapshot>(*snapshots_, &v1::SnapshotService::Stub::GetSnapshot, request);
  }
  absl::StatusOr<v1::ListSnapshotsResponse> ListSnapshots(
      const v1::ListSnapshotsRequest& request) override {
    return Unary<v1::ListSnapshotsResponse>(*snapshots_, &v1::SnapshotService::Stub::ListSnapshots,
                                            request);
  }
  absl::Status DeleteSnapshot(const v1::DeleteSnapshotRequest& request) override {
    return Unary<google::protobuf::Empty>(*snapshots_, &v1::SnapshotService::Stub::DeleteSnapshot,
                                          request)
        .status();
  }
  absl::Status DownloadSnapshot(
      const v1::DownloadSnapshotRequest& request,
      const std::function<absl::Status(const v1::DownloadSnapshotResponse&)>& piece) override {
    grpc::ClientContext context;
    Prepare(&context);
    return ReadAll(context, *snapshots_->DownloadSnapshot(&context, request), piece);
  }
  absl::Status UploadSnapshot(
      const std::function<absl::StatusOr<std::optional<v1::UploadSnapshotRequest>>()>& next,
      v1::UploadSnapshotResponse* last) override {
    grpc::ClientContext context;
    Prepare(&context);
    auto stream = snapshots_->UploadSnapshot(&context);
    return Exchange<v1::UploadSnapshotRequest, v1::UploadSnapshotResponse>(
        context, *stream, next, [&](const v1::UploadSnapshotResponse& answer) { *last = answer; });
  }
  absl::StatusOr<google::longrunning::Operation> RestoreSnapshot(
      const v1::RestoreSnapshotRequest& request) override {
    return Unary<google::longrunning::Operation>(
        *snapshots_, &v1::SnapshotService::Stub::RestoreSnapshot, request);
  }
  absl::StatusOr<v1::Profile> CreateProfile(const v1::CreateProfileRequest& request) override {
    return Unary<v1::Profile>(*funnels_, &v1::FunnelService::Stub::CreateProfile, request);
  }
  absl::StatusOr<v1::Profile> GetProfile(const v1::GetProfileRequest& request) override {
    return Unary<v1::Profile>(*funnels_, &v1::FunnelService::Stub::GetProfile, request);
  }
  absl::StatusOr<v1::ListProfilesResponse> ListProfiles(
      const v1::ListProfilesRequest& request) override {
    return Unary<v1::ListProfilesResponse>(*funnels_, &v1::FunnelService::Stub::ListProfiles,
                                           request);
  }
  absl::StatusOr<v1::Profile> UpdateProfile(const v1::UpdateProfileRequest& request) override {
    return Unary<v1::Profile>(*funnels_, &v1::FunnelService::Stub::UpdateProfile, request);
  }
  absl::Status DeleteProfile(const v1::DeleteProfileRequest& request) override {
    return Unary<google::protobuf::Empty>(*funnels_, &v1::FunnelService::Stub::DeleteProfile,
                                          request)
        .status();
  }
  absl::StatusOr<google::longrunning::Operation> MeasureRecall(
      const v1::MeasureRecallRequest& request) override {
    return Unary<google::longrunning::Operation>(*funnels_, &v1::FunnelService::Stub::MeasureRecall,
                                                 request);
  }
  absl::StatusOr<google::longrunning::Operation> TuneFunnel(
      const v1::TuneFunnelRequest& request) override {
    return Unary<google::longrunning::Operation>(*funnels_, &v1::FunnelService::Stub::TuneFunnel,
                                                 request);
  }
  absl::StatusOr<google::longrunning::Operation> AnalyzeDimensions(
      const v1::AnalyzeDimensionsRequest& request) override {
    return Unary<google::longrunning::Operation>(
        *funnels_, &v1::FunnelService::Stub::AnalyzeDimensions, request);
  }
  absl::StatusOr<v1::ServerInfo> GetServerInfo(const v1::GetServerInfoRequest& request) override {
    return Unary<v1::ServerInfo>(*server_, &v1::ServerService::Stub::GetServerInfo, request);
  }
  absl::StatusOr<v1::ServerConfig> GetConfig(const v1::GetConfigRequest& request) override {
    return Unary<v1::ServerConfig>(*server_, &v1::ServerService::Stub::GetConfig, request);
  }
  absl::StatusOr<bool> CheckHealth(const std::string& service) override {
    grpc::ClientContext context;
    Prepare(&context);
    grpc::CompletionQueue queue;
    auto call =
        generic_.PrepareUnaryCall(&context, kHealthCheck, EncodeHealthRequest(service), &queue);
    call->StartCall();
    grpc::ByteBuffer response;
    grpc::Status status;
    call->Finish(&response, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    MRL_RETURN_IF_ERROR(FromGrpc(status));
    return DecodeServing(response);
  }

 private:
  void Prepare(grpc::ClientContext* context) const {
    context->set_deadline(absl::ToChronoTime(absl::Now() + timeout_));
    if (!authorization_.empty()) context->AddMetadata("authorization", authorization_);
  }

  template <typename Response>
  static absl::Status ReadAll(grpc::ClientContext& context, grpc::ClientReader<Response>& reader,
                              const std::function<absl::Status(const Response&)>& take) {
    Response message;
    absl::Status refused;
    while (refused.ok() && reader.Read(&message)) refused = take(message);
    if (!refused.ok()) context.TryCancel();
    const absl::Status ended = FromGrpc(reader.Finish());
    return refused.ok() ? ended : refused;
  }

  template <typename Response, typename Stub, typename Request>
  absl::StatusOr<Response> Unary(Stub& stub,
                                 grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                              Response*),
                                 const Request& request) const {
    grpc::ClientContext context;
    Prepare(&context);
    Response response;
    MRL_RETURN_IF_ERROR(FromGrpc((stub.*method)(&context, request, &response)));
    return response;
  }

  // One answer to each request.
  template <typename Request, typename Response, typename Stream>
  static absl::Status Exchange(grpc::ClientContext& context, Stream& stream,
                               const std::function<absl::StatusOr<std::optional<Request>>()>& next,
                               const std::function<void(const Response&)>& answer) {
    absl::Status refused;
    Response response;
    while (true) {
      auto request = next();
      refused = request.status();
      if (!refused.ok() || !request->has_value()) break;
      if (!stream.Write(**request) || !stream.Read(&response)) break;
      answer(response);
    }
    if (!refused.ok()) context.TryCancel();
    stream.WritesDone();
    const absl::Status ended = FromGrpc(stream.Finish());
    return refused.ok() ? ended : refused;
  }

  const absl::Duration timeout_;
  const std::string authorization_;
  const std::unique_ptr<v1::SearchService::Stub> search_;
  const std::unique_ptr<v1::CollectionService::Stub> collections_;
  const std::unique_ptr<v1::PointService::Stub> points_;
  const std::unique_ptr<v1::FunnelService::Stub> funnels_;
  const std::unique_ptr<v1::IndexService::Stub> indexes_;
  const std::unique_ptr<google::longrunning::Operations::Stub> operations_;
  const std::unique_ptr<v1::SnapshotService::Stub> snapshots_;
  const std::unique_ptr<v1::ServerService::Stub> server_;
  grpc::GenericStub generic_;
};

}  // namespace

std::unique_ptr<Connection> Connect(const std::string& target, const ConnectionOptions& options) {
  auto credentials = grpc::InsecureChannelCredentials();
  if (options.tls) {
    credentials = grpc::SslCredentials({options.tls_roots, options.tls_key, options.tls_cert});
  }
  return std::make_unique<GrpcConnection>(grpc::CreateChannel(target, credentials), options);
}

}  // namespace mrl::client
