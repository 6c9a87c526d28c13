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
#include "server/http/address.h"
#include "server/limits.h"
#include "server/metrics/exposition.h"
#include "server/service/collection_service.h"
#include "server/service/search_service.h"
#include "server/service/server_service.h"
#include "server/version.h"

namespace mrl::server {
namespace {

int WorkersOf(const Config& config) {
  if (config.workers > 0) return static_cast<int>(config.workers);
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

uint64_t MemoryLimitOf(const Config& config) {
  return config.memory_limit_bytes > 0 ? static_cast<uint64_t>(config.memory_limit_bytes)
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

// A call has one place in the pool while it waits; reloads and the chunks of streams have some too.
size_t PoolQueueMax(const Config& config) { return static_cast<size_t>(config.queue_max) * 2 + 64; }

std::string VersionJson() {
  return absl::StrCat("{\"version\":\"", kVersion, "\",\"commit\":\"", kCommit, "\"}\n");
}

}  // namespace

struct Server::Services {
  Services(Registry& registry, Desk& desk, int workers)
      : search(registry, desk), collection(registry, desk), server(registry, desk, workers) {}
  SearchService search;
  CollectionService collection;
  ServerService server;
};

Server::Server(FileSystem& files, const Config& config, int workers)
    : config_(config),
      workers_(workers),
      account_(MemoryLimitOf(config)),
      registry_(files, account_, config.indexes),
      gate_(nullptr),
      pool_(workers, PoolQueueMax(config)),
      admission_(pool_, config.queue_max),
      desk_{readiness_, gate_, admission_, metrics_},
      services_(std::make_unique<Services>(registry_, desk_, workers)) {}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(FileSystem& files, const Config& config) {
  MRL_RETURN_IF_ERROR(config.Validate());
  std::unique_ptr<Server> server(new Server(files, config, WorkersOf(config)));
  MRL_RETURN_IF_ERROR(server->ListenHttp());
  MRL_RETURN_IF_ERROR(server->Listen());
  server->Open();
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
  int port = 0;
  const std::string wanted = JoinAddress(config_.bind, config_.grpc_port);
  builder.AddListeningPort(wanted, grpc::InsecureServerCredentials(), &port);
  grpc_ = builder.BuildAndStart();
  if (grpc_ == nullptr || port == 0) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", wanted));
  }
  address_ = JoinAddress(config_.bind, port);
  grpc_->GetHealthCheckService()->SetServingStatus(false);
  return absl::OkStatus();
}

absl::Status Server::ListenHttp() {
  HttpServer::Pages pages;
  pages["/livez"] = [] { return HttpReply{200, "text/plain; charset=utf-8", "alive\n"}; };
  pages["/readyz"] = [this] { return Ready(); };
  pages["/version"] = [] { return HttpReply{200, "application/json", VersionJson()}; };
  pages["/metrics"] = [this] {
    return HttpReply{200, "text/plain; version=0.0.4; charset=utf-8",
                     Expose({metrics_, registry_, admission_, readiness_, workers_})};
  };
  MRL_ASSIGN_OR_RETURN(http_, HttpServer::Start(config_.bind, static_cast<int>(config_.http_port),
                                                std::move(pages)));
  return absl::OkStatus();
}

void Server::Open() {
  grpc::HealthCheckServiceInterface* health = grpc_->GetHealthCheckService();
  registry_.SetObserver(
      [health](const std::string& name, bool serving) { health->SetServingStatus(name, serving); });
  registry_.ReloadAll();
  readiness_.Advance(Readiness::State::kServing);
  health->SetServingStatus("", true);
}

// One damaged collection does not take the others away; when none is left, traffic should go to
// another server.
HttpReply Server::Ready() const {
  HttpReply reply;
  size_t served = 0;
  std::string damaged;
  const std::vector<Registry::Entry> entries = registry_.List();
  for (const Registry::Entry& entry : entries) {
    if (entry.collection != nullptr) {
      ++served;
    } else {
      absl::StrAppend(&damaged, "collection '", entry.path.name,
                      "' is not served: ", std::string(entry.last_open.message()), "\n");
    }
  }
  const bool serving = readiness_.state() == Readiness::State::kServing;
  const bool none = served == 0 && !entries.empty();
  reply.code = serving && !none ? 200 : 503;
  reply.body = !serving ? absl::StrCat("not ready: ", readiness_.name(), "\n")
               : none   ? "not ready: no collection is served\n"
                        : absl::StrCat("ready: ", served, " collections are served\n");
  absl::StrAppend(&reply.body, damaged);
  return reply;
}

void Server::SubmitReloadAll() {
  const absl::Status submitted = pool_.Submit([this] { registry_.ReloadAll(); });
  if (!submitted.ok()) spdlog::error("reload was not started: {}", submitted.ToString());
}

void Server::Drain() {
  if (grpc_ == nullptr || readiness_.state() == Readiness::State::kDraining) return;
  readiness_.Advance(Readiness::State::kDraining);
  registry_.SetObserver(nullptr);
  grpc_->GetHealthCheckService()->Shutdown();
  // The deadline also ends calls that never end by themselves, such as an open health Watch.
  grpc_->Shutdown(std::chrono::system_clock::now() +
                  std::chrono::milliseconds(config_.drain_timeout_ms));
  grpc_->Wait();
}

Server::~Server() {
  Drain();
  http_.reset();
  pool_.Shutdown();  // a reload that runs still reports to the health service of grpc_
}

}  // namespace mrl::server
