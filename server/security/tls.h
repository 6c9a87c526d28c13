// TLS for the gRPC port, from files that are read again when they change.
#pragma once

#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/file.h"

namespace mrl::server {

struct TlsFiles {
  std::string cert;       // PEM: the server's certificate, then those that lead to its root
  std::string key;        // PEM: its private key
  std::string client_ca;  // PEM: roots of the clients' certificates; empty = none are asked for
};

// What the files hold.
struct TlsTexts {
  std::string cert;
  std::string key;
  std::string client_ca;
  bool operator==(const TlsTexts&) const = default;
};
// Texts that can be served: a certificate that is valid now, its own key, and certificates for
// clients. INVALID_ARGUMENT or the file's error names the file, and never what a key file holds.
absl::StatusOr<TlsTexts> ReadTlsFiles(FileSystem& files, const TlsFiles& tls);

// When the first of the certificates in a PEM file expires. INVALID_ARGUMENT or the file's error.
absl::StatusOr<absl::Time> CertificateExpiry(FileSystem& files, const std::string& path);

// What new connections are served with: the files as they were when they were last in order.
// Thread-safe.
class TlsKeeper {
 public:
  // An error as of ReadTlsFiles. `files` outlives the keeper.
  static absl::StatusOr<std::unique_ptr<TlsKeeper>> Open(FileSystem& files, const TlsFiles& tls);

  // Both look at the files again where a second has passed since the last look. What is not in
  // order is logged and changes nothing, so that a certificate and its key may come one after the
  // other. The first call takes what there is, later ones what is new; nothing where it is not.
  std::optional<TlsTexts> TakeNew();
  // Whether the files are not in order now.
  bool failed();
  const TlsFiles& paths() const { return paths_; }

 private:
  TlsKeeper(FileSystem& files, TlsFiles paths, TlsTexts texts);
  void Look() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  FileSystem& files_;
  const TlsFiles paths_;
  absl::Mutex mutex_;
  TlsTexts texts_ ABSL_GUARDED_BY(mutex_);
  bool is_new_ ABSL_GUARDED_BY(mutex_) = true;
  std::string problem_ ABSL_GUARDED_BY(mutex_);  // of the last look; empty = none
  absl::Time looked_ ABSL_GUARDED_BY(mutex_);
};

// Credentials of one port, which take from `keeper` at each handshake; it outlives the gRPC server.
std::shared_ptr<grpc::ServerCredentials> MakeTlsCredentials(TlsKeeper& keeper);

}  // namespace mrl::server
