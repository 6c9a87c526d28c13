#include "server/service/search_service.h"

#include "server/rpc/call.h"
#include "server/rpc/told_call.h"
#include "server/service/batch_search.h"
#include "server/service/search.h"

namespace mrl::server {
grpc::ServerUnaryReactor* SearchService::Search(grpc::CallbackServerContext* context,
                                                const v1::SearchRequest* request,
                                                v1::SearchResponse* response) {
  return JoinedCall<v1::SearchRequest, v1::SearchResponse>::Start(desk_, "Search", context, request,
                                                                  response, search_);
}

grpc::ServerWriteReactor<v1::BatchSearchResponse>* SearchService::BatchSearch(
    grpc::CallbackServerContext* context, const v1::BatchSearchRequest* request) {
  return StreamCall<v1::BatchSearchResponse>::Start(
      desk_, "BatchSearch", context, request,
      [this, request](Call&) { return OpenBatch(registry_, *request); });
}

grpc::ServerUnaryReactor* SearchService::ExplainSearch(grpc::CallbackServerContext* context,
                                                       const v1::ExplainSearchRequest* request,
                                                       v1::ExplainSearchResponse* response) {
  return UnaryCall<v1::ExplainSearchRequest, v1::ExplainSearchResponse>::Start(
      desk_, "ExplainSearch", context, request, response,
      [this](Call& call, const v1::ExplainSearchRequest& in, v1::ExplainSearchResponse* out) {
        return RunExplain(registry_, call, in, out);
      });
}

grpc::ServerWriteReactor<v1::ProgressiveSearchResponse>* SearchService::ProgressiveSearch(
    grpc::CallbackServerContext* context, const v1::SearchRequest* request) {
  using Told = ToldCall<v1::ProgressiveSearchResponse>;
  return Told::Start(desk_, "ProgressiveSearch", context, request,
                     [this, request](Call& call, const Told::Tell& tell) {
                       return RunProgressive(registry_, call, *request, tell);
                     });
}

grpc::ServerUnaryReactor* SearchService::Classify(grpc::CallbackServerContext* context,
                                                  const v1::ClassifyRequest* request,
                                                  v1::ClassifyResponse* response) {
  return UnaryCall<v1::ClassifyRequest, v1::ClassifyResponse>::Start(
      desk_, "Classify", context, request, response,
      [this](Call& call, const v1::ClassifyRequest& in, v1::ClassifyResponse* out) {
        return classifier_.Run(registry_, call, in, out);
      });
}

}  // namespace mrl::server
