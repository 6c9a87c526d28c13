#include "server/rpc/methods.h"

namespace mrl::server {
namespace {

constexpr Method kMethods[] = {
    {"GetCollection", "/mrl.v1.CollectionService/GetCollection", Role::kRead, true},
    {"GetCollectionStats", "/mrl.v1.CollectionService/GetCollectionStats", Role::kRead, true},
    {"ListCollections", "/mrl.v1.CollectionService/ListCollections", Role::kRead, false},
    {"ReloadCollection", "/mrl.v1.CollectionService/ReloadCollection", Role::kAdmin, true},
    {"BatchSearch", "/mrl.v1.SearchService/BatchSearch", Role::kRead, true},
    {"ExplainSearch", "/mrl.v1.SearchService/ExplainSearch", Role::kRead, true},
    {"Search", "/mrl.v1.SearchService/Search", Role::kRead, true},
    {"GetConfig", "/mrl.v1.ServerService/GetConfig", Role::kAdmin, false},
    {"GetServerInfo", "/mrl.v1.ServerService/GetServerInfo", Role::kRead, false},
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
