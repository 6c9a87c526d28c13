#include "server/service/collection_service.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "server/limits.h"
#include "server/rpc/call.h"
#include "server/service/convert.h"

namespace mrl::server {
namespace {

absl::Status Get(const Registry& registry, const std::string& name, v1::Collection* out) {
  MRL_RETURN_IF_ERROR(registry.Find(name).status());
  MRL_ASSIGN_OR_RETURN(const Registry::Entry entry, registry.Get(name));
  ToProto(entry, out);
  return absl::OkStatus();
}

// A token is the last name of the page before, so that a page does not depend on what came or went.
absl::Status ListPage(const Registry& registry, const Caller& caller,
                      const v1::ListCollectionsRequest& request, v1::ListCollectionsResponse* out) {
  if (request.page_size() < 0) {
    return InvalidField("page_size", absl::StrCat("page_size is ", request.page_size(), "; 0 to ",
                                                  Limits::kPageSize, " are accepted"));
  }
  const uint64_t size =
      request.page_size() == 0
          ? Limits::kPageSizeDefault
          : std::min(static_cast<uint64_t>(request.page_size()), Limits::kPageSize);
  std::string after;
  if (!absl::WebSafeBase64Unescape(request.page_token(), &after)) {
    return InvalidField("page_token", absl::StrCat("page_token '", request.page_token(),
                                                   "' is none that this server gave"));
  }
  for (const Registry::Entry& entry : registry.List()) {
    if (!request.page_token().empty() && entry.path.name <= after) continue;
    if (!caller.MaySee(entry.path.name)) continue;
    if (static_cast<uint64_t>(out->collections_size()) == size) {
      out->set_next_page_token(
          absl::WebSafeBase64Escape(out->collections(out->collections_size() - 1).name()));
      break;
    }
    ToProto(entry, out->add_collections());
  }
  return absl::OkStatus();
}

absl::Status GetStats(const Registry& registry, const std::string& name, v1::CollectionStats* out) {
  MRL_RETURN_IF_ERROR(registry.Find(name).status());
  MRL_ASSIGN_OR_RETURN(const Registry::Entry entry, registry.Get(name));
  ToProto(entry, *entry.collection, out);
  return absl::OkStatus();
}

}  // namespace

grpc::ServerUnaryReactor* CollectionService::GetCollection(grpc::CallbackServerContext* context,
                                                           const v1::GetCollectionRequest* request,
                                                           v1::Collection* response) {
  return UnaryCall<v1::GetCollectionRequest, v1::Collection>::Start(
      desk_, "GetCollection", context, request, response,
      [this](Call&, const v1::GetCollectionRequest& in, v1::Collection* out) {
        return Get(registry_, in.name(), out);
      });
}

grpc::ServerUnaryReactor* CollectionService::ListCollections(
    grpc::CallbackServerContext* context, const v1::ListCollectionsRequest* request,
    v1::ListCollectionsResponse* response) {
  return UnaryCall<v1::ListCollectionsRequest, v1::ListCollectionsResponse>::Start(
      desk_, "ListCollections", context, request, response,
      [this](Call& call, const v1::ListCollectionsRequest& in, v1::ListCollectionsResponse* out) {
        return ListPage(registry_, call.caller(), in, out);
      });
}

grpc::ServerUnaryReactor* CollectionService::GetCollectionStats(
    grpc::CallbackServerContext* context, const v1::GetCollectionStatsRequest* request,
    v1::CollectionStats* response) {
  return UnaryCall<v1::GetCollectionStatsRequest, v1::CollectionStats>::Start(
      desk_, "GetCollectionStats", context, request, response,
      [this](Call&, const v1::GetCollectionStatsRequest& in, v1::CollectionStats* out) {
        return GetStats(registry_, in.name(), out);
      });
}

grpc::ServerUnaryReactor* CollectionService::ReloadCollection(
    grpc::CallbackServerContext* context, const v1::ReloadCollectionRequest* request,
    v1::Collection* response) {
  return UnaryCall<v1::ReloadCollectionRequest, v1::Collection>::Start(
      desk_, "ReloadCollection", context, request, response,
      [this](Call&, const v1::ReloadCollectionRequest& in, v1::Collection* out) {
        MRL_RETURN_IF_ERROR(registry_.Reload(in.name()));
        return Get(registry_, in.name(), out);
      });
}

}  // namespace mrl::server
