#pragma once

#include "mrl/v1/search.grpc.pb.h"
#include "server/registry.h"
#include "server/rpc/arena_messages.h"
#include "server/rpc/desk.h"
#include "server/service/search.h"

namespace mrl::server {

// Both arguments outlive the service. Thread-safe.
class SearchService final : public v1::SearchService::CallbackService {
 public:
  SearchService(const Registry& registry, Desk& desk)
      : registry_(registry),
        desk_(desk),
        search_([&registry](absl::Span<JoinedSearch> calls) { RunSearches(registry, calls); }) {
    SetMessageAllocatorFor_Search(&messages_);
  }

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
  Desk& desk_;
  const JoinedHandler<v1::SearchRequest, v1::SearchResponse> search_;
  ArenaMessages<v1::SearchRequest, v1::SearchResponse> messages_;
};

}  // namespace mrl::server
