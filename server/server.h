// The server as one object: registry, workers, services, health and the listening port.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/memory_account.h"
#include "index/schedule/worker_pool.h"
#include "server/config.h"
#include "server/registry.h"

namespace mrl::server {

// Thread-safe after Start.
class Server {
 public:
  // Opens the collections and listens. A collection that does not open is served as damaged; the
  // others are served as usual. UNAVAILABLE when the address cannot be listened on. `files`
  // outlives the server.
  static absl::StatusOr<std::unique_ptr<Server>> Start(FileSystem& files, const Config& config);
  // Drains, if Drain was not called.
  ~Server();

  // ADDRESS:PORT, with the port that was given out.
  const std::string& address() const { return address_; }
  Registry& registry() { return registry_; }
  // Reloads every collection, on a worker.
  void SubmitReloadAll();
  // Health says NOT_SERVING, new calls are refused, running ones end or are cancelled after the
  // drain timeout. Returns when all have ended; later calls do nothing.
  void Drain();

 private:
  struct Services;
  Server(FileSystem& files, const Config& config, int workers);
  absl::Status Listen();

  // In the order in which they are needed: the pool is emptied before what its calls use goes.
  const Config config_;
  std::string address_;
  MemoryAccount account_;
  Registry registry_;
  schedule::WorkerPool pool_;
  std::unique_ptr<Services> services_;
  std::unique_ptr<grpc::Server> grpc_;
};

}  // namespace mrl::server
