#pragma once

#include "mrl/v1/search.grpc.pb.h"
#include "server/registry.h"
#include "server/rpc/arena_messages.h"
#include "server/rpc/desk.h"
#include "server/service/classify.h"
#include "server/service/search.h"

namespace mrl::server {

// All arguments outlive the service. Thread-safe.
class SearchService final : public v1::SearchService::CallbackService {
 public:
  SearchService(const SearchContext& context, Desk& desk)
      : registry_(context.registry),
        desk_(desk),
        search_([context](absl::Span<JoinedSearch> calls) { RunSearches(context, calls); }) {
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
  grpc::ServerWriteReactor<v1::ProgressiveSearchResponse>* ProgressiveSearch(
      grpc::CallbackServerContext* context, const v1::SearchRequest* request) override;
  grpc::ServerUnaryReactor* Classify(grpc::CallbackServerContext* context,
                                     const v1::ClassifyRequest* request,
                                     v1::ClassifyResponse* response) override;

 private:
  const Registry& registry_;
  Desk& desk_;
  Classifier classifier_;
  const JoinedHandler<v1::SearchRequest, v1::SearchResponse> search_;
  ArenaMessages<v1::SearchRequest, v1::SearchResponse> messages_;
};

}  // namespace mrl::server
