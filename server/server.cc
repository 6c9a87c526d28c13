#include "server/server.h"

#include <grpcpp/health_check_service_interface.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "server/gpu_options.h"
#include "server/grpc_port.h"
#include "server/metrics/exposition.h"
#include "server/service/collection_service.h"
#include "server/service/collection_work.h"
#include "server/service/funnel_service.h"
#include "server/service/index_service.h"
#include "server/service/operation_service.h"
#include "server/service/point_service.h"
#include "server/service/quality.h"
#include "server/service/search_service.h"
#include "server/service/server_service.h"
#include "server/service/snapshot_service.h"
#include "server/version.h"
#include "server/warm_up.h"

namespace mrl::server {
namespace {

constexpr char kOperationKey[] = "operations/";  // of the catalog's records
constexpr absl::Duration kClosing = absl::Milliseconds(100);

int WorkersOf(const Config& config) {
  if (config.workers > 0) return static_cast<int>(config.workers);
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

uint64_t MemoryLimitOf(const Config& config) {
  return config.memory_limit_bytes > 0 ? static_cast<uint64_t>(config.memory_limit_bytes)
                                       : MemoryAccount::DefaultLimitBytes();
}

// A call has one place in the pool while it waits; reloads and the chunks of streams have some too.
size_t PoolQueueMax(const Config& config) { return static_cast<size_t>(config.queue_max) * 2 + 64; }

std::unique_ptr<Exporter> MakeExporter(const Config& config) {
  if (config.otlp_endpoint.empty()) return nullptr;
  return std::make_unique<Exporter>(
      Exporter::Options{config.otlp_endpoint, config.otlp_headers, absl::Seconds(2)});
}

std::map<std::string, Operations::Runner> MakeRunners(Registry& registry) {
  std::map<std::string, Operations::Runner> runners = MakeQualityRunners(registry);
  runners["BuildIndex"] = MakeIndexBuilder(registry);
  runners["CompactCollection"] = MakeCompactor(registry);
  runners["RestoreSnapshot"] = MakeRestorer(registry);
  runners["UpdateCollection"] = MakeUpdater(registry);
  return runners;
}

std::string VersionJson() {
  return absl::StrCat("{\"version\":\"", kVersion, "\",\"commit\":\"", kCommit, "\"}\n");
}

}  // namespace

struct Server::Services {
  Services(Registry& registry, Operations& operations, Desk& desk, int workers,
           std::vector<Setting> settings)
      : search({registry, shadow, exits, keeps}, desk),
        collection(registry, operations, desk),
        server(registry, desk, workers, std::move(settings)),
        point(registry, desk),
        index(registry, operations, desk),
        operation(operations, desk),
        snapshot(registry, operations, desk),
        funnel(registry, operations, desk) {}
  Shadow shadow;
  Exits exits;
  Keeps keeps;
  SearchService search;
  CollectionService collection;
  ServerService server;
  PointService point;
  IndexService index;
  OperationService operation;
  SnapshotService snapshot;
  FunnelService funnel;
};

Server::Server(FileSystem& files, const Config& config, std::vector<Setting> settings, int workers,
               std::function<bool()> stop)
    : files_(files),
      config_(config),
      workers_(workers),
      stop_(std::move(stop)),
      account_(MemoryLimitOf(config)),
      registry_(files, account_, config.indexes),
      operations_(MakeRunners(registry_)),
      gate_(nullptr),
      quotas_(registry_),
      pool_(workers, PoolQueueMax(config)),
      admission_(pool_, config.queue_max, CallbackThreads() - 1),
      exporter_(MakeExporter(config)),
      desk_{readiness_, gate_, quotas_, admission_, metrics_, refusals_, exporter_.get()},
      services_(
          std::make_unique<Services>(registry_, operations_, desk_, workers, std::move(settings))) {
  desk_.trace_ratio = static_cast<double>(config.trace_per_million) * 1e-6;
  if (config.slow_query_ms > 0) desk_.slow_query = absl::Milliseconds(config.slow_query_ms);
  desk_.read_stall = absl::Milliseconds(config.read_stall_ms);
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(FileSystem& files, const Config& config,
                                                      std::vector<Setting> settings,
                                                      std::function<bool()> stop) {
  MRL_RETURN_IF_ERROR(config.Validate());
  std::unique_ptr<Server> server(
      new Server(files, config, std::move(settings), WorkersOf(config), std::move(stop)));
  MRL_RETURN_IF_ERROR(server->LoadKeys());
  MRL_RETURN_IF_ERROR(server->LoadQuotas(config.quotas));
  MRL_RETURN_IF_ERROR(server->LoadCertificates());
  MRL_RETURN_IF_ERROR(server->OpenGpu());
  server->registry_.SetOpenOptions(
      {.gpu = server->gpu_.get(), .hot_dims = static_cast<uint32_t>(config.hot_dims)});
  MRL_RETURN_IF_ERROR(server->ListenHttp());
  MRL_RETURN_IF_ERROR(server->Listen());
  MRL_RETURN_IF_ERROR(server->Open());
  return server;
}

absl::Status Server::OpenGpu() {
  MRL_ASSIGN_OR_RETURN(coarse::gpu::GpuOptions options, GpuOptionsOf(config_));
  options.warn = [](const std::string& text) { spdlog::warn("gpu: {}", text); };
  MRL_ASSIGN_OR_RETURN(gpu_, coarse::gpu::DeviceSet::Open(options));
  spdlog::info("gpu: {}", gpu_->report());
  return absl::OkStatus();
}

absl::Status Server::Listen() {
  MRL_ASSIGN_OR_RETURN(GrpcPort port,
                       OpenGrpcPort(config_, tls_.get(),
                                    {&services_->search, &services_->collection, &services_->server,
                                     &services_->point, &services_->index, &services_->operation,
                                     &services_->snapshot, &services_->funnel}));
  grpc_ = std::move(port.server);
  address_ = std::move(port.address);
  grpc_->GetHealthCheckService()->SetServingStatus(false);
  return absl::OkStatus();
}

absl::Status Server::ListenHttp() {
  HttpServer::Pages pages;
  pages["/livez"] = [] { return HttpReply{200, "text/plain; charset=utf-8", "alive\n"}; };
  pages["/readyz"] = [this] { return Ready(); };
  pages["/version"] = [] { return HttpReply{200, "application/json", VersionJson()}; };
  pages["/metrics"] = [this] {
    return HttpReply{
        200, "text/plain; version=0.0.4; charset=utf-8",
        Expose({metrics_, registry_, admission_, readiness_, exporter_.get(), workers_, &files_,
                tls_.get(), &services_->shadow, &services_->exits, &services_->keeps})};
  };
  MRL_ASSIGN_OR_RETURN(
      http_,
      HttpServer::Start(config_.HttpBind(), static_cast<int>(config_.http_port), std::move(pages)));
  return absl::OkStatus();
}

absl::Status Server::Open() {
  grpc::HealthCheckServiceInterface* health = grpc_->GetHealthCheckService();
  registry_.SetObserver([this, health](const std::string& name, bool serving) {
    health->SetServingStatus(name, serving);
    UpdateHealth();
    if (serving) return;
    services_->shadow.Forget(name);
    services_->exits.Forget(name);
    services_->keeps.Forget(name);
  });
  const auto stopping = [this] { return Stopping(); };
  const auto warm_up = [this, stopping](const std::string& name,
                                        const collection::Collection& opened) {
    if (config_.warm_up_queries > 0) WarmUp(name, opened, config_.warm_up_queries, stopping);
  };
  registry_.SetPreparer(warm_up);
  if (!config_.data_dir.empty()) {
    MRL_RETURN_IF_ERROR(registry_.OpenDataFolder(
        config_.data_dir, {.seal_rows = static_cast<uint32_t>(config_.seal_rows),
                           .disk_reserve_bytes = static_cast<uint64_t>(config_.disk_reserve_bytes),
                           .open_max = static_cast<size_t>(config_.open_collections),
                           .stopped = stopping}));
    for (const Registry::Entry& entry : registry_.List()) {
      if (entry.collection != nullptr) warm_up(entry.path.name, *entry.collection);
    }
  }
  registry_.ReloadAll(stopping);
  if (Stopping()) return absl::CancelledError("stopped while it started");
  RecoverOperations();
  readiness_.Advance(Readiness::State::kServing);
  UpdateHealth();
  return absl::OkStatus();
}

bool Server::Stopping() const {
  return readiness_.state() >= Readiness::State::kDraining || (stop_ && stop_());
}

void Server::RecoverOperations() {
  collection::Catalog* catalog = registry_.catalog();
  if (catalog == nullptr) return;
  std::map<std::string, std::string> records;
  for (auto& [key, bytes] : catalog->records()) {
    if (absl::StartsWith(key, kOperationKey)) {
      records[key.substr(sizeof(kOperationKey) - 1)] = bytes;
    }
  }
  operations_.Recover(
      {.put =
           [catalog](const std::string& id, const std::string& bytes) {
             return catalog->PutRecord(kOperationKey + id, bytes);
           },
       .remove =
           [catalog](const std::string& id) { return catalog->RemoveRecord(kOperationKey + id); }},
      records);
}

std::string Server::WhyNotReady() const {
  if (readiness_.state() != Readiness::State::kServing) return readiness_.name();
  return registry_.Usable() ? "" : "no collection is served";
}

void Server::UpdateHealth() {
  absl::MutexLock lock(&health_mutex_);
  grpc_->GetHealthCheckService()->SetServingStatus("", WhyNotReady().empty());
}

HttpReply Server::Ready() const {
  HttpReply reply;
  size_t served = 0;
  size_t idle = 0;
  std::string damaged;
  for (const Registry::Entry& entry : registry_.List()) {
    if (entry.idle) {
      ++idle;
    } else if (entry.collection != nullptr) {
      ++served;
    } else {
      absl::StrAppend(&damaged, "collection '", entry.path.name,
                      "' is not served: ", std::string(entry.last_open.message()), "\n");
    }
  }
  const std::string reason = WhyNotReady();
  reply.code = reason.empty() ? 200 : 503;
  reply.body = reason.empty() ? absl::StrCat("ready: ", served, " collections are served\n")
                              : absl::StrCat("not ready: ", reason, "\n");
  if (idle > 0) absl::StrAppend(&reply.body, idle, " collections are opened when they are used\n");
  absl::StrAppend(&reply.body, damaged);
  return reply;
}

absl::Status Server::LoadKeys() {
  if (config_.api_keys.empty()) return absl::OkStatus();
  MRL_ASSIGN_OR_RETURN(auto keys, KeyRing::Load(files_, config_.api_keys));
  spdlog::info("{}: {} keys", config_.api_keys, keys->size());
  gate_.Replace(std::move(keys));
  return absl::OkStatus();
}

absl::Status Server::LoadCertificates() {
  if (config_.tls_cert.empty()) return absl::OkStatus();
  MRL_ASSIGN_OR_RETURN(
      tls_, TlsKeeper::Open(files_, {config_.tls_cert, config_.tls_key, config_.tls_client_ca}));
  return absl::OkStatus();
}

absl::Status Server::LoadQuotas(const std::string& path) {
  if (path.empty()) {
    quotas_.Replace(nullptr);
    return absl::OkStatus();
  }
  MRL_ASSIGN_OR_RETURN(auto table, QuotaTable::Load(files_, path));
  spdlog::info("{}: {} quotas", path, table->size());
  quotas_.Replace(std::move(table));
  return absl::OkStatus();
}

void Server::Reload(const Config& fresh, const std::vector<Setting>& settings) {
  spdlog::set_level(spdlog::level::from_str(fresh.log_level));
  if (absl::Status status = LoadKeys(); !status.ok()) {
    spdlog::error("the keys stay as they were: {}", std::string(status.message()));
  }
  if (absl::Status status = LoadQuotas(fresh.quotas); !status.ok()) {
    spdlog::error("the quotas stay as they were: {}", std::string(status.message()));
  }
  services_->server.SetSettings(settings);
  const absl::Status submitted = pool_.Submit([this, indexes = fresh.indexes] {
    registry_.SetIndexes(indexes);
    UpdateHealth();
    registry_.ReloadAll([this] { return Stopping(); });
  });
  if (!submitted.ok()) spdlog::error("reload was not started: {}", submitted.ToString());
}

void Server::Drain() {
  if (grpc_ == nullptr || readiness_.state() >= Readiness::State::kDraining) return;
  const bool served = readiness_.state() == Readiness::State::kServing;
  readiness_.Advance(served ? Readiness::State::kDraining : Readiness::State::kClosed);
  registry_.SetObserver(nullptr);
  grpc_->GetHealthCheckService()->Shutdown();
  // Balancers need a while to notice; calls that they still send are answered. A server that did
  // not come to serve has none to wait for.
  if (served) absl::SleepFor(absl::Milliseconds(config_.drain_delay_ms));
  // gRPC cuts off what arrives in the moment of its shutdown with CANCELLED. Callers that hear
  // UNAVAILABLE before stop or go elsewhere.
  readiness_.Advance(Readiness::State::kClosed);
  absl::SleepFor(kClosing);
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
