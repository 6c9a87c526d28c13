#pragma once

#include "index/schedule/worker_pool.h"
#include "mrl/v1/search.grpc.pb.h"
#include "server/registry.h"

namespace mrl::server {

// Both arguments outlive the service. Thread-safe.
class SearchService final : public v1::SearchService::CallbackService {
 public:
  SearchService(const Registry& registry, schedule::WorkerPool& pool)
      : registry_(registry), pool_(pool) {}

  grpc::ServerUnaryReactor* Search(grpc::CallbackServerContext* context,
                                   const v1::SearchRequest* request,
                                   v1::SearchResponse* response) override;
  grpc::ServerWriteReactor<v1::BatchSearchResponse>* BatchSearch(
      grpc::CallbackServerContext* context, const v1::BatchSearchRequest* request) override;
  grpc::ServerUnaryReactor* ExplainSearch(grpc::CallbackServerContext* context,
                                          const v1::ExplainSearchRequest* request,
                                          v1::ExplainSearchResponse* response) override;

 private:
  const Registry& registry_;
  schedule::WorkerPool& pool_;
};

}  // namespace mrl::server
