#include "server/rpc/methods.h"

namespace mrl::server {
namespace {

constexpr Method kMethods[] = {
    {"CancelOperation", "/google.longrunning.Operations/CancelOperation", Role::kAdmin, false},
    {"DeleteOperation", "/google.longrunning.Operations/DeleteOperation", Role::kAdmin, false},
    {"GetOperation", "/google.longrunning.Operations/GetOperation", Role::kRead, false},
    {"ListOperations", "/google.longrunning.Operations/ListOperations", Role::kRead, false},
    {"BatchUpdateAliases", "/mrl.v1.CollectionService/BatchUpdateAliases", Role::kAdmin, false},
    {"CompactCollection", "/mrl.v1.CollectionService/CompactCollection", Role::kAdmin, true},
    {"CreateCollection", "/mrl.v1.CollectionService/CreateCollection", Role::kAdmin, true},
    {"DeleteCollection", "/mrl.v1.CollectionService/DeleteCollection", Role::kAdmin, true},
    {"GetCollection", "/mrl.v1.CollectionService/GetCollection", Role::kRead, true},
    {"GetCollectionStats", "/mrl.v1.CollectionService/GetCollectionStats", Role::kRead, true},
    {"ListAliases", "/mrl.v1.CollectionService/ListAliases", Role::kRead, false},
    {"ListCollections", "/mrl.v1.CollectionService/ListCollections", Role::kRead, false},
    {"ReloadCollection", "/mrl.v1.CollectionService/ReloadCollection", Role::kAdmin, true},
    {"UpdateCollection", "/mrl.v1.CollectionService/UpdateCollection", Role::kAdmin, true},
    {"AnalyzeDimensions", "/mrl.v1.FunnelService/AnalyzeDimensions", Role::kAdmin, true},
    {"CreateProfile", "/mrl.v1.FunnelService/CreateProfile", Role::kAdmin, true},
    {"DeleteProfile", "/mrl.v1.FunnelService/DeleteProfile", Role::kAdmin, true},
    {"GetProfile", "/mrl.v1.FunnelService/GetProfile", Role::kRead, true},
    {"ListProfiles", "/mrl.v1.FunnelService/ListProfiles", Role::kRead, true},
    {"MeasureRecall", "/mrl.v1.FunnelService/MeasureRecall", Role::kAdmin, true},
    {"TuneFunnel", "/mrl.v1.FunnelService/TuneFunnel", Role::kAdmin, true},
    {"UpdateProfile", "/mrl.v1.FunnelService/UpdateProfile", Role::kAdmin, true},
    {"ActivateIndex", "/mrl.v1.IndexService/ActivateIndex", Role::kAdmin, true},
    {"BuildIndex", "/mrl.v1.IndexService/BuildIndex", Role::kAdmin, true},
    {"DeleteIndex", "/mrl.v1.IndexService/DeleteIndex", Role::kAdmin, true},
    {"ListIndexes", "/mrl.v1.IndexService/ListIndexes", Role::kRead, true},
    {"BatchGetPoints", "/mrl.v1.PointService/BatchGetPoints", Role::kRead, true},
    {"CountPoints", "/mrl.v1.PointService/CountPoints", Role::kRead, true},
    {"DeletePoints", "/mrl.v1.PointService/DeletePoints", Role::kWrite, true},
    {"ListPoints", "/mrl.v1.PointService/ListPoints", Role::kRead, true},
    {"UpdatePayload", "/mrl.v1.PointService/UpdatePayload", Role::kWrite, true},
    {"UpsertPoints", "/mrl.v1.PointService/UpsertPoints", Role::kWrite, true},
    {"WritePoints", "/mrl.v1.PointService/WritePoints", Role::kWrite, true},
    {"BatchSearch", "/mrl.v1.SearchService/BatchSearch", Role::kRead, true},
    {"Classify", "/mrl.v1.SearchService/Classify", Role::kRead, true},
    {"ExplainSearch", "/mrl.v1.SearchService/ExplainSearch", Role::kRead, true},
    {"ProgressiveSearch", "/mrl.v1.SearchService/ProgressiveSearch", Role::kRead, true},
    {"Search", "/mrl.v1.SearchService/Search", Role::kRead, true},
    {"GetConfig", "/mrl.v1.ServerService/GetConfig", Role::kAdmin, false},
    {"GetServerInfo", "/mrl.v1.ServerService/GetServerInfo", Role::kRead, false},
    {"CreateSnapshot", "/mrl.v1.SnapshotService/CreateSnapshot", Role::kAdmin, true},
    {"DeleteSnapshot", "/mrl.v1.SnapshotService/DeleteSnapshot", Role::kAdmin, true},
    {"DownloadSnapshot", "/mrl.v1.SnapshotService/DownloadSnapshot", Role::kAdmin, true},
    {"GetSnapshot", "/mrl.v1.SnapshotService/GetSnapshot", Role::kAdmin, true},
    {"ListSnapshots", "/mrl.v1.SnapshotService/ListSnapshots", Role::kAdmin, true},
    {"RestoreSnapshot", "/mrl.v1.SnapshotService/RestoreSnapshot", Role::kAdmin, true},
    {"UploadSnapshot", "/mrl.v1.SnapshotService/UploadSnapshot", Role::kAdmin, true},
};

}  // namespace

const char* Name(Role role) {
  switch (role) {
    case Role::kRead:
      return "read";
    case Role::kWrite:
      return "write";
    case Role::kAdmin:
      return "admin";
  }
  return "unknown";
}

absl::Span<const Method> Methods() { return kMethods; }

const Method* FindMethod(absl::string_view name) {
  for (const Method& method : kMethods) {
    if (name == method.name) return &method;
  }
  return nullptr;
}

}  // namespace mrl::server
