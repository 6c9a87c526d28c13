// How the gRPC port is set up: address, credentials, and the limits that gRPC itself enforces.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/config.h"
#include "server/security/tls.h"

namespace mrl::server {

struct GrpcPort {
  std::unique_ptr<grpc::Server> server;
  std::string address;  // ADDRESS:PORT, with the port that was given out
};

// Threads by which gRPC brings calls in; while one runs a call itself, the others go on. gRPC 1.51
// fixes their number: half the cores, 2 to 16.
size_t CallbackThreads();

// Listens and serves, with `tls` unless it is null. It and the services outlive the server.
// UNAVAILABLE names the address that cannot be listened on.
absl::StatusOr<GrpcPort> OpenGrpcPort(const Config& config, TlsKeeper* tls,
                                      const std::vector<grpc::Service*>& services);

}  // namespace mrl::server
