#pragma once

#include "mrl/v1/collection.grpc.pb.h"
#include "server/operations/operations.h"
#include "server/registry.h"
#include "server/rpc/desk.h"

namespace mrl::server {

// Both arguments outlive the service. Thread-safe.
class CollectionService final : public v1::CollectionService::CallbackService {
 public:
  CollectionService(Registry& registry, Operations& operations, Desk& desk)
      : registry_(registry), operations_(operations), desk_(desk) {}

  grpc::ServerUnaryReactor* GetCollection(grpc::CallbackServerContext* context,
                                          const v1::GetCollectionRequest* request,
                                          v1::Collection* response) override;
  grpc::ServerUnaryReactor* ListCollections(grpc::CallbackServerContext* context,
                                            const v1::ListCollectionsRequest* request,
                                            v1::ListCollectionsResponse* response) override;
  grpc::ServerUnaryReactor* GetCollectionStats(grpc::CallbackServerContext* context,
                                               const v1::GetCollectionStatsRequest* request,
                                               v1::CollectionStats* response) override;
  grpc::ServerUnaryReactor* ReloadCollection(grpc::CallbackServerContext* context,
                                             const v1::ReloadCollectionRequest* request,
                                             v1::Collection* response) override;
  grpc::ServerUnaryReactor* CreateCollection(grpc::CallbackServerContext* context,
                                             const v1::CreateCollectionRequest* request,
                                             v1::Collection* response) override;
  grpc::ServerUnaryReactor* UpdateCollection(grpc::CallbackServerContext* context,
                                             const v1::UpdateCollectionRequest* request,
                                             google::longrunning::Operation* response) override;
  grpc::ServerUnaryReactor* CompactCollection(grpc::CallbackServerContext* context,
                                              const v1::CompactCollectionRequest* request,
                                              google::longrunning::Operation* response) override;
  grpc::ServerUnaryReactor* DeleteCollection(grpc::CallbackServerContext* context,
                                             const v1::DeleteCollectionRequest* request,
                                             google::protobuf::Empty* response) override;
  grpc::ServerUnaryReactor* BatchUpdateAliases(grpc::CallbackServerContext* context,
                                               const v1::BatchUpdateAliasesRequest* request,
                                               v1::BatchUpdateAliasesResponse* response) override;
  grpc::ServerUnaryReactor* ListAliases(grpc::CallbackServerContext* context,
                                        const v1::ListAliasesRequest* request,
                                        v1::ListAliasesResponse* response) override;

 private:
  Registry& registry_;
  Operations& operations_;
  Desk& desk_;
};

}  // namespace mrl::server
