// TLS for the gRPC port, from files that are read again when they change.
#pragma once

#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/file.h"

namespace mrl::server {

struct TlsFiles {
  std::string cert;       // PEM: the server's certificate, then those that lead to its root
  std::string key;        // PEM: its private key
  std::string client_ca;  // PEM: roots of the clients' certificates; empty = none are asked for
};

// OK when the files can be read and hold a certificate that is valid now, its own key, and
// certificates for clients. INVALID_ARGUMENT or the file's error names the file, and never what a
// key file holds.
absl::Status CheckTlsFiles(FileSystem& files, const TlsFiles& tls);

// When the first of the certificates in a PEM file expires. INVALID_ARGUMENT or the file's error.
absl::StatusOr<absl::Time> CertificateExpiry(FileSystem& files, const std::string& path);

// Serves with these files from then on. They are looked at every second; new ones count for new
// connections. A certificate and its key should change in one step (a symbolic link to their folder
// that is renamed, as Kubernetes does), since a pair that does not fit refuses connections.
std::shared_ptr<grpc::ServerCredentials> MakeTlsCredentials(const TlsFiles& tls);

}  // namespace mrl::server
