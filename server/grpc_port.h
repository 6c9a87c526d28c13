// How the gRPC port is set up: address, credentials, and the limits that gRPC itself enforces.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/file.h"
#include "server/config.h"

namespace mrl::server {

struct GrpcPort {
  std::unique_ptr<grpc::Server> server;
  std::string address;  // ADDRESS:PORT, with the port that was given out
};

// Threads by which gRPC brings calls in; while one runs a call itself, the others go on. gRPC 1.51
// fixes their number: half the cores, 2 to 16.
size_t CallbackThreads();

// Listens and serves. The services outlive the server. An error names the file that TLS cannot be
// set up with; UNAVAILABLE names the address that cannot be listened on.
absl::StatusOr<GrpcPort> OpenGrpcPort(FileSystem& files, const Config& config,
                                      const std::vector<grpc::Service*>& services);

}  // namespace mrl::server
