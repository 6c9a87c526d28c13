#include "server/service/server_service.h"

#include "index/coarse/gpu/device_set.h"
#include "index/kernels/kernels.h"
#include "server/limits.h"
#include "server/rpc/call.h"
#include "server/version.h"

namespace mrl::server {
namespace {

absl::Status Describe(const Registry& registry, int workers, v1::ServerInfo* out) {
  out->set_version(kVersion);
  out->set_commit(kCommit);
  out->set_instruction_set(kernels::Active().name);
  out->set_workers(static_cast<uint32_t>(workers));
  out->set_memory_used_bytes(registry.account().used_bytes());
  out->set_memory_limit_bytes(registry.account().limit_bytes());
  if (const coarse::gpu::DeviceSet* gpu = registry.gpu()) {
    out->set_gpu(gpu->report());
    out->set_gpu_memory_used_bytes(gpu->used_bytes());
    out->set_gpu_memory_limit_bytes(gpu->limit_bytes());
  }
  for (const Limit& limit : LimitsTable()) {
    v1::Limit* added = out->add_limits();
    added->set_name(limit.name);
    added->set_value(limit.value);
    added->set_description(limit.description);
  }
  return absl::OkStatus();
}

}  // namespace

grpc::ServerUnaryReactor* ServerService::GetServerInfo(grpc::CallbackServerContext* context,
                                                       const v1::GetServerInfoRequest* request,
                                                       v1::ServerInfo* response) {
  return UnaryCall<v1::GetServerInfoRequest, v1::ServerInfo>::Start(
      desk_, "GetServerInfo", context, request, response,
      [this](Call&, const v1::GetServerInfoRequest&, v1::ServerInfo* out) {
        return Describe(registry_, workers_, out);
      });
}

grpc::ServerUnaryReactor* ServerService::GetConfig(grpc::CallbackServerContext* context,
                                                   const v1::GetConfigRequest* request,
                                                   v1::ServerConfig* response) {
  return UnaryCall<v1::GetConfigRequest, v1::ServerConfig>::Start(
      desk_, "GetConfig", context, request, response,
      [this](Call&, const v1::GetConfigRequest&, v1::ServerConfig* out) {
        for (const Setting& setting : settings()) {
          v1::ServerConfig::Setting* added = out->add_settings();
          added->set_key(setting.key);
          added->set_value(setting.value);
          added->set_source(setting.source);
        }
        return absl::OkStatus();
      });
}

void ServerService::SetSettings(const std::vector<Setting>& fresh) {
  absl::MutexLock lock(&mutex_);
  settings_ = AfterReload(std::move(settings_), fresh);
}

std::vector<Setting> ServerService::settings() const {
  absl::MutexLock lock(&mutex_);
  return settings_;
}

}  // namespace mrl::server
