#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
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

  // After a reload: what GetConfig shows of the keys that reload.
  void SetSettings(const std::vector<Setting>& fresh);

 private:
  std::vector<Setting> settings() const;

  const Registry& registry_;
  Desk& desk_;
  const int workers_;
  mutable absl::Mutex mutex_;
  std::vector<Setting> settings_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mrl::server
