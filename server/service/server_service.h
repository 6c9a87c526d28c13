#pragma once

#include "index/schedule/worker_pool.h"
#include "mrl/v1/server.grpc.pb.h"
#include "server/registry.h"

namespace mrl::server {

// Both references outlive the service. Thread-safe.
class ServerService final : public v1::ServerService::CallbackService {
 public:
  ServerService(const Registry& registry, schedule::WorkerPool& pool, int workers)
      : registry_(registry), pool_(pool), workers_(workers) {}

  grpc::ServerUnaryReactor* GetServerInfo(grpc::CallbackServerContext* context,
                                          const v1::GetServerInfoRequest* request,
                                          v1::ServerInfo* response) override;

 private:
  const Registry& registry_;
  schedule::WorkerPool& pool_;
  const int workers_;
};

}  // namespace mrl::server
