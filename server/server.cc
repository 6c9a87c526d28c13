#include "server/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "server/limits.h"
#include "server/service/collection_service.h"
#include "server/service/point_service.h"
#include "server/service/search_service.h"
#include "server/service/server_service.h"

namespace mrl::server {
namespace {

int WorkersOf(const Config& config) {
  if (config.workers > 0) return config.workers;
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

uint64_t MemoryLimitOf(const Config& config) {
  return config.memory_limit_bytes > 0 ? config.memory_limit_bytes
                                       : MemoryAccount::DefaultLimitBytes();
}

// gRPC keeps its plugins in lists of the process; entering them once is enough.
void EnablePlugins() {
  static std::once_flag once;
  std::call_once(once, [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });
}

}  // namespace

struct Server::Services {
  Services(Registry& registry, schedule::WorkerPool& pool, int workers)
      : search(registry, pool),
        collection(registry, pool),
        server(registry, pool, workers),
        point(registry, pool) {}
  SearchService search;
  CollectionService collection;
  ServerService server;
  PointService point;
};

Server::Server(FileSystem& files, const Config& config, int workers)
    : config_(config),
      account_(MemoryLimitOf(config)),
      registry_(files, account_, config.indexes),
      pool_(workers, config.queue_max),
      services_(std::make_unique<Services>(registry_, pool_, workers)) {}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(FileSystem& files, const Config& config) {
  MRL_RETURN_IF_ERROR(config.Validate());
  std::unique_ptr<Server> server(new Server(files, config, WorkersOf(config)));
  if (!config.data_dir.empty()) {
    MRL_RETURN_IF_ERROR(server->registry_.OpenDataFolder(config.data_dir, config.seal_rows));
  }
  server->registry_.ReloadAll();
  MRL_RETURN_IF_ERROR(server->Listen());
  return server;
}

absl::Status Server::Listen() {
  EnablePlugins();
  grpc::ServerBuilder builder;
  // With SO_REUSEPORT two servers would share a port without a word.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.SetMaxReceiveMessageSize(static_cast<int>(Limits::kRequestBytes));
  builder.RegisterService(&services_->search);
  builder.RegisterService(&services_->collection);
  builder.RegisterService(&services_->server);
  builder.RegisterService(&services_->point);
  int port = 0;
  const std::string wanted = absl::StrCat(config_.bind, ":", config_.grpc_port);
  builder.AddListeningPort(wanted, grpc::InsecureServerCredentials(), &port);
  grpc_ = builder.BuildAndStart();
  if (grpc_ == nullptr || port == 0) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", wanted));
  }
  address_ = absl::StrCat(config_.bind, ":", port);

  grpc::HealthCheckServiceInterface* health = grpc_->GetHealthCheckService();
  for (const Registry::Entry& entry : registry_.List()) {
    health->SetServingStatus(entry.path.name, entry.collection != nullptr);
  }
  registry_.SetObserver(
      [health](const std::string& name, bool serving) { health->SetServingStatus(name, serving); });
  return absl::OkStatus();
}

void Server::SubmitReloadAll() {
  const absl::Status submitted = pool_.Submit([this] { registry_.ReloadAll(); });
  if (!submitted.ok()) spdlog::error("reload was not started: {}", submitted.ToString());
}

void Server::Drain() {
  if (grpc_ == nullptr) return;
  registry_.SetObserver(nullptr);
  grpc_->GetHealthCheckService()->Shutdown();
  // The deadline also ends calls that never end by themselves, such as an open health Watch.
  grpc_->Shutdown(std::chrono::system_clock::now() +
                  std::chrono::milliseconds(config_.drain_timeout_ms));
  grpc_->Wait();
}

Server::~Server() {
  Drain();
  pool_.Shutdown();  // a reload that runs still reports to the health service of grpc_
}

}  // namespace mrl::server
