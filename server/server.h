// The server as one object: registry, workers, services, health, and the two listening ports.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/memory_account.h"
#include "index/coarse/gpu/device_set.h"
#include "index/schedule/worker_pool.h"
#include "server/admission/admission.h"
#include "server/config.h"
#include "server/http/http_server.h"
#include "server/metrics/call_metrics.h"
#include "server/operations/operations.h"
#include "server/quotas.h"
#include "server/readiness.h"
#include "server/registry.h"
#include "server/rpc/desk.h"
#include "server/security/gate.h"
#include "server/security/tls.h"

namespace mrl::server {

// Thread-safe after Start.
class Server {
 public:
  // Listens, refuses calls while it opens the collections, and returns when it serves. A collection
  // that does not open is served as damaged; the others are served as usual. UNAVAILABLE when an
  // address cannot be listened on; CANCELLED once `stop` says so, which is asked before each
  // collection and each search that warms it up, by any thread. `files`, and what `stop` looks at,
  // outlive the server.
  // `settings` are what GetConfig shows.
  static absl::StatusOr<std::unique_ptr<Server>> Start(FileSystem& files, const Config& config,
                                                       std::vector<Setting> settings = {},
                                                       std::function<bool()> stop = {});
  // Drains, if Drain was not called.
  ~Server();

  // ADDRESS:PORT, with the ports that were given out.
  const std::string& address() const { return address_; }
  std::string http_address() const { return http_->address(); }
  Registry& registry() { return registry_; }
  // Takes the log level, the quotas file and the list of indexes of `fresh`, reads the keys file
  // again, and reloads every collection on a worker. What cannot be read stays as it was, and is
  // logged. Other keys need a new start. `settings` are what GetConfig shows of `fresh`.
  void Reload(const Config& fresh, const std::vector<Setting>& settings = {});
  // Health says NOT_SERVING; after the drain delay new calls are refused, running ones end or are
  // cancelled after the drain timeout. Returns when all have ended; later calls do nothing. A
  // reload ends after the collection that it opens.
  void Drain();

 private:
  struct Services;
  Server(FileSystem& files, const Config& config, std::vector<Setting> settings, int workers,
         std::function<bool()> stop);
  absl::Status Listen();
  absl::Status ListenHttp();
  absl::Status LoadKeys();
  absl::Status LoadCertificates();
  absl::Status LoadQuotas(const std::string& path);
  absl::Status OpenGpu();
  absl::Status Open();
  // Whether nothing more is to be opened.
  bool Stopping() const;
  // Takes up what the data folder says was under way.
  void RecoverOperations();
  // Decides what /readyz and the health of the server itself say. Empty = ready: it is SERVING, and
  // has something to serve.
  std::string WhyNotReady() const;
  HttpReply Ready() const;
  // Sets the health of the server itself, after what WhyNotReady looks at has changed.
  void UpdateHealth();

  // In the order in which they are needed: the pool is emptied before what its calls use goes.
  FileSystem& files_;
  const Config config_;
  const int workers_;
  const std::function<bool()> stop_;  // may be empty
  std::string address_;
  Readiness readiness_;
  absl::Mutex health_mutex_;  // held by UpdateHealth, so that what was seen last is set last
  MemoryAccount account_;
  std::shared_ptr<coarse::gpu::DeviceSet> gpu_;
  Registry registry_;
  Operations operations_;  // stops before the registry goes
  Gate gate_;
  Quotas quotas_;
  CallMetrics metrics_;
  RefusalLog refusals_;
  schedule::WorkerPool pool_;
  Admission admission_;
  const std::unique_ptr<Exporter> exporter_;  // null = no traces
  Desk desk_;
  std::unique_ptr<Services> services_;
  std::unique_ptr<TlsKeeper> tls_;  // null = no TLS
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<grpc::Server> grpc_;
};

}  // namespace mrl::server
