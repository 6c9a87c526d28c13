#include "server/service/collection_service.h"

#include <map>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "server/limits.h"
#include "server/rpc/call.h"
#include "server/service/collection_work.h"
#include "server/service/convert.h"

namespace mrl::server {
namespace {

// The aliases that `caller` may know of.
std::map<std::string, std::string> AliasesFor(const Registry& registry, const Caller& caller) {
  std::map<std::string, std::string> aliases = registry.aliases();
  std::erase_if(aliases, [&caller](const auto& entry) {
    return !caller.MaySee(entry.first) || !caller.MaySee(entry.second);
  });
  return aliases;
}

absl::Status Get(const Registry& registry, const std::string& name, v1::Collection* out) {
  MRL_RETURN_IF_ERROR(registry.Find(name).status());
  MRL_ASSIGN_OR_RETURN(const Registry::Entry entry, registry.Get(name));
  ToProto(entry, out);
  for (const auto& [alias, target] : registry.aliases()) {
    if (target == entry.path.name) out->add_aliases(alias);
  }
  return absl::OkStatus();
}

absl::Status Create(Registry& registry, const v1::CreateCollectionRequest& request,
                    v1::Collection* out) {
  MRL_RETURN_IF_ERROR(WithField(collection::CheckName(request.name()), "name"));
  MRL_ASSIGN_OR_RETURN(const Schema schema, FromProto(request));
  MRL_RETURN_IF_ERROR(registry.Create(request.name(), schema, request.validate_only()));
  if (!request.validate_only()) return Get(registry, request.name(), out);
  ToProto(schema, out);
  out->set_name(request.name());
  return absl::OkStatus();
}

absl::Status ChangeAliases(Registry& registry, const Caller& caller,
                           const v1::BatchUpdateAliasesRequest& request,
                           v1::BatchUpdateAliasesResponse* out) {
  const auto count = static_cast<uint64_t>(request.changes_size());
  if (count == 0 || count > Limits::kAliasChanges) {
    return InvalidField("changes", absl::StrCat("changes has ", count, " entries; 1 to ",
                                                Limits::kAliasChanges, " are accepted"));
  }
  std::vector<collection::Catalog::AliasChange> changes;
  for (const auto& change : request.changes()) {
    for (const std::string& name : {change.alias(), change.collection()}) {
      if (name.empty() || caller.MaySee(name)) continue;
      return absl::PermissionDeniedError(
          absl::StrCat("key '", caller.id(), "' does not list '", name, "'"));
    }
    changes.push_back({change.alias(), change.collection()});
  }
  MRL_RETURN_IF_ERROR(WithField(registry.ChangeAliases(changes), "changes"));
  for (const auto& [alias, name] : AliasesFor(registry, caller)) {
    (*out->mutable_aliases())[alias] = name;
  }
  return absl::OkStatus();
}

// A token is the last name of the page before, so that a page does not depend on what came or went.
absl::Status ListPage(const Registry& registry, const Caller& caller,
                      const v1::ListCollectionsRequest& request, v1::ListCollectionsResponse* out) {
  MRL_ASSIGN_OR_RETURN(const uint64_t size, PageSize(request.page_size()));
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

grpc::ServerUnaryReactor* CollectionService::CreateCollection(
    grpc::CallbackServerContext* context, const v1::CreateCollectionRequest* request,
    v1::Collection* response) {
  return UnaryCall<v1::CreateCollectionRequest, v1::Collection>::Start(
      desk_, "CreateCollection", context, request, response,
      [this](Call&, const v1::CreateCollectionRequest& in, v1::Collection* out) {
        return Create(registry_, in, out);
      });
}

grpc::ServerUnaryReactor* CollectionService::UpdateCollection(
    grpc::CallbackServerContext* context, const v1::UpdateCollectionRequest* request,
    google::longrunning::Operation* response) {
  return UnaryCall<v1::UpdateCollectionRequest, google::longrunning::Operation>::Start(
      desk_, "UpdateCollection", context, request, response,
      [this](Call&, const v1::UpdateCollectionRequest& in, google::longrunning::Operation* out) {
        return StartUpdate(registry_, operations_, in, out);
      });
}

grpc::ServerUnaryReactor* CollectionService::CompactCollection(
    grpc::CallbackServerContext* context, const v1::CompactCollectionRequest* request,
    google::longrunning::Operation* response) {
  return UnaryCall<v1::CompactCollectionRequest, google::longrunning::Operation>::Start(
      desk_, "CompactCollection", context, request, response,
      [this](Call&, const v1::CompactCollectionRequest& in, google::longrunning::Operation* out) {
        return StartCompaction(registry_, operations_, in, out);
      });
}

grpc::ServerUnaryReactor* CollectionService::DeleteCollection(
    grpc::CallbackServerContext* context, const v1::DeleteCollectionRequest* request,
    google::protobuf::Empty* response) {
  return UnaryCall<v1::DeleteCollectionRequest, google::protobuf::Empty>::Start(
      desk_, "DeleteCollection", context, request, response,
      [this](Call&, const v1::DeleteCollectionRequest& in, google::protobuf::Empty*) {
        return registry_.Delete(in.name());
      });
}

grpc::ServerUnaryReactor* CollectionService::BatchUpdateAliases(
    grpc::CallbackServerContext* context, const v1::BatchUpdateAliasesRequest* request,
    v1::BatchUpdateAliasesResponse* response) {
  return UnaryCall<v1::BatchUpdateAliasesRequest, v1::BatchUpdateAliasesResponse>::Start(
      desk_, "BatchUpdateAliases", context, request, response,
      [this](Call& call, const v1::BatchUpdateAliasesRequest& in,
             v1::BatchUpdateAliasesResponse* out) {
        return ChangeAliases(registry_, call.caller(), in, out);
      });
}

grpc::ServerUnaryReactor* CollectionService::ListAliases(grpc::CallbackServerContext* context,
                                                         const v1::ListAliasesRequest* request,
                                                         v1::ListAliasesResponse* response) {
  return UnaryCall<v1::ListAliasesRequest, v1::ListAliasesResponse>::Start(
      desk_, "ListAliases", context, request, response,
      [this](Call& call, const v1::ListAliasesRequest&, v1::ListAliasesResponse* out) {
        for (const auto& [alias, name] : AliasesFor(registry_, call.caller())) {
          (*out->mutable_aliases())[alias] = name;
        }
        return absl::OkStatus();
      });
}

}  // namespace mrl::server
