#pragma once

#include <map>
#include <string>

#include "mrl/v1/index.grpc.pb.h"
#include "server/operations/operations.h"
#include "server/registry.h"
#include "server/rpc/desk.h"

namespace mrl::server {

// What BuildIndex starts. `registry` outlives it. Run again, it finds the index there and is done.
Operations::Runner MakeIndexBuilder(const Registry& registry);

// Arguments outlive the service. Thread-safe.
class IndexService final : public v1::IndexService::CallbackService {
 public:
  IndexService(const Registry& registry, Operations& operations, Desk& desk)
      : registry_(registry), operations_(operations), desk_(desk) {}

  grpc::ServerUnaryReactor* BuildIndex(grpc::CallbackServerContext* context,
                                       const v1::BuildIndexRequest* request,
                                       google::longrunning::Operation* response) override;
  grpc::ServerUnaryReactor* ActivateIndex(grpc::CallbackServerContext* context,
                                          const v1::ActivateIndexRequest* request,
                                          v1::Index* response) override;
  grpc::ServerUnaryReactor* ListIndexes(grpc::CallbackServerContext* context,
                                        const v1::ListIndexesRequest* request,
                                        v1::ListIndexesResponse* response) override;
  grpc::ServerUnaryReactor* DeleteIndex(grpc::CallbackServerContext* context,
                                        const v1::DeleteIndexRequest* request,
                                        google::protobuf::Empty* response) override;

 private:
  const Registry& registry_;
  Operations& operations_;
  Desk& desk_;
};

}  // namespace mrl::server
