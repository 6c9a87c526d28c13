// The wire below the client: one method per RPC, in messages. Tests put a mock in its place.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "google/longrunning/operations.pb.h"
#include "mrl/v1/collection.pb.h"
#include "mrl/v1/funnel.pb.h"
#include "mrl/v1/index.pb.h"
#include "mrl/v1/point.pb.h"
#include "mrl/v1/search.pb.h"
#include "mrl/v1/server.pb.h"
#include "mrl/v1/snapshot.pb.h"

namespace mrl::client {

struct ConnectionOptions {
  absl::Duration timeout = absl::Seconds(30);  // deadline of each call
  // TLS, where it is on: contents of PEM files, not paths. Empty roots = those of the system.
  bool tls = false;
  std::string tls_roots;
  std::string tls_cert;  // the client's own, where the server asks for one; with its key
  std::string tls_key;
  std::string api_key;  // sent with each call; never part of an error
};

// Thread-safe. A failed call has the server's code and message.
class Connection {
 public:
  virtual ~Connection() = default;
  virtual absl::StatusOr<v1::SearchResponse> Search(const v1::SearchRequest& request) = 0;
  // Calls `chunk` for each message in turn; an error of `chunk` cancels the call and is returned.
  virtual absl::Status BatchSearch(
      const v1::BatchSearchRequest& request,
      const std::function<absl::Status(const v1::BatchSearchResponse&)>& chunk) = 0;
  // As BatchSearch.
  virtual absl::Status ProgressiveSearch(
      const v1::SearchRequest& request,
      const std::function<absl::Status(const v1::ProgressiveSearchResponse&)>& stage) = 0;
  virtual absl::StatusOr<v1::ClassifyResponse> Classify(const v1::ClassifyRequest& request) = 0;
  virtual absl::StatusOr<v1::ExplainSearchResponse> ExplainSearch(
      const v1::ExplainSearchRequest& request) = 0;
  virtual absl::StatusOr<v1::Collection> GetCollection(const v1::GetCollectionRequest& request) = 0;
  virtual absl::StatusOr<v1::ListCollectionsResponse> ListCollections(
      const v1::ListCollectionsRequest& request) = 0;
  virtual absl::StatusOr<v1::CollectionStats> GetCollectionStats(
      const v1::GetCollectionStatsRequest& request) = 0;
  virtual absl::StatusOr<v1::Collection> ReloadCollection(
      const v1::ReloadCollectionRequest& request) = 0;
  virtual absl::StatusOr<v1::Collection> CreateCollection(
      const v1::CreateCollectionRequest& request) = 0;
  virtual absl::StatusOr<google::longrunning::Operation> UpdateCollection(
      const v1::UpdateCollectionRequest& request) = 0;
  virtual absl::StatusOr<google::longrunning::Operation> CompactCollection(
      const v1::CompactCollectionRequest& request) = 0;
  virtual absl::Status DeleteCollection(const v1::DeleteCollectionRequest& request) = 0;
  virtual absl::StatusOr<v1::BatchUpdateAliasesResponse> BatchUpdateAliases(
      const v1::BatchUpdateAliasesRequest& request) = 0;
  virtual absl::StatusOr<v1::ListAliasesResponse> ListAliases(
      const v1::ListAliasesRequest& request) = 0;
  virtual absl::StatusOr<google::longrunning::Operation> BuildIndex(
      const v1::BuildIndexRequest& request) = 0;
  virtual absl::StatusOr<v1::Index> ActivateIndex(const v1::ActivateIndexRequest& request) = 0;
  virtual absl::StatusOr<v1::ListIndexesResponse> ListIndexes(
      const v1::ListIndexesRequest& request) = 0;
  virtual absl::Status DeleteIndex(const v1::DeleteIndexRequest& request) = 0;
  virtual absl::StatusOr<google::longrunning::Operation> GetOperation(
      const google::longrunning::GetOperationRequest& request) = 0;
  virtual absl::StatusOr<google::longrunning::ListOperationsResponse> ListOperations(
      const google::longrunning::ListOperationsRequest& request) = 0;
  virtual absl::Status CancelOperation(
      const google::longrunning::CancelOperationRequest& request) = 0;
  virtual absl::Status DeleteOperation(
      const google::longrunning::DeleteOperationRequest& request) = 0;
  virtual absl::StatusOr<v1::UpsertPointsResponse> UpsertPoints(
      const v1::UpsertPointsRequest& request) = 0;
  // As UploadSnapshot; `answer` hears each answer.
  virtual absl::Status WritePoints(
      const std::function<absl::StatusOr<std::optional<v1::WritePointsRequest>>()>& next,
      const std::function<void(const v1::WritePointsResponse&)>& answer) = 0;
  virtual absl::StatusOr<v1::UpdatePayloadResponse> UpdatePayload(
      const v1::UpdatePayloadRequest& request) = 0;
  virtual absl::StatusOr<v1::BatchGetPointsResponse> BatchGetPoints(
      const v1::BatchGetPointsRequest& request) = 0;
  virtual absl::StatusOr<v1::CountPointsResponse> CountPoints(
      const v1::CountPointsRequest& request) = 0;
  virtual absl::StatusOr<v1::ListPointsResponse> ListPoints(
      const v1::ListPointsRequest& request) = 0;
  virtual absl::StatusOr<v1::DeletePointsResponse> DeletePoints(
      const v1::DeletePointsRequest& request) = 0;
  virtual absl::StatusOr<v1::Snapshot> CreateSnapshot(const v1::CreateSnapshotRequest& request) = 0;
  virtual absl::StatusOr<v1::Snapshot> GetSnapshot(const v1::GetSnapshotRequest& request) = 0;
  virtual absl::StatusOr<v1::ListSnapshotsResponse> ListSnapshots(
      const v1::ListSnapshotsRequest& request) = 0;
  virtual absl::Status DeleteSnapshot(const v1::DeleteSnapshotRequest& request) = 0;
  // As BatchSearch.
  virtual absl::Status DownloadSnapshot(
      const v1::DownloadSnapshotRequest& request,
      const std::function<absl::Status(const v1::DownloadSnapshotResponse&)>& piece) = 0;
  // Sends what `next` gives until it gives nothing, each once the one before was answered; an error
  // of `next` cancels the call and is returned. `last` is the last answer.
  virtual absl::Status UploadSnapshot(
      const std::function<absl::StatusOr<std::optional<v1::UploadSnapshotRequest>>()>& next,
      v1::UploadSnapshotResponse* last) = 0;
  virtual absl::StatusOr<google::longrunning::Operation> RestoreSnapshot(
      const v1::RestoreSnapshotRequest& request) = 0;
  virtual absl::StatusOr<v1::Profile> CreateProfile(const v1::CreateProfileRequest& request) = 0;
  virtual absl::StatusOr<v1::Profile> GetProfile(const v1::GetProfileRequest& request) = 0;
  virtual absl::StatusOr<v1::ListProfilesResponse> ListProfiles(
      const v1::ListProfilesRequest& request) = 0;
  virtual absl::StatusOr<v1::Profile> UpdateProfile(const v1::UpdateProfileRequest& request) = 0;
  virtual absl::Status DeleteProfile(const v1::DeleteProfileRequest& request) = 0;
  virtual absl::StatusOr<google::longrunning::Operation> MeasureRecall(
      const v1::MeasureRecallRequest& request) = 0;
  virtual absl::StatusOr<google::longrunning::Operation> TuneFunnel(
      const v1::TuneFunnelRequest& request) = 0;
  virtual absl::StatusOr<google::longrunning::Operation> AnalyzeDimensions(
      const v1::AnalyzeDimensionsRequest& request) = 0;
  virtual absl::StatusOr<v1::ServerInfo> GetServerInfo(const v1::GetServerInfoRequest& request) = 0;
  virtual absl::StatusOr<v1::ServerConfig> GetConfig(const v1::GetConfigRequest& request) = 0;
  // grpc.health.v1 Check: true for SERVING. NOT_FOUND for a service that has no health.
  virtual absl::StatusOr<bool> CheckHealth(const std::string& service) = 0;
};

// Over gRPC. `target` is ADDRESS:PORT. Does not connect before the first call.
std::unique_ptr<Connection> Connect(const std::string& target, const ConnectionOptions& options);

}  // namespace mrl::client
