#pragma once

#include "mrl/v1/server.grpc.pb.h"
#include "server/config.h"
#include "server/registry.h"
#include "server/rpc/desk.h"

namespace mrl::server {

// Both references outlive the service. Thread-safe.
class ServerService final : public v1::ServerService::CallbackService {
 public:
  ServerService(const Registry& registry, Desk& desk, int workers, std::vector<Setting> settings)
      : registry_(registry), desk_(desk), workers_(workers), settings_(std::move(settings)) {}

  grpc::ServerUnaryReactor* GetServerInfo(grpc::CallbackServerContext* context,
                                          const v1::GetServerInfoRequest* request,
                                          v1::ServerInfo* response) override;
  grpc::ServerUnaryReactor* GetConfig(grpc::CallbackServerContext* context,
                                      const v1::GetConfigRequest* request,
                                      v1::ServerConfig* response) override;

 private:
  const Registry& registry_;
  Desk& desk_;
  const int workers_;
  const std::vector<Setting> settings_;
};

}  // namespace mrl::server
