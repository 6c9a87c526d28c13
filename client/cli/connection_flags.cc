// The flags of `mrl` that say how to reach the server, and what they mean.
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status.h"
#include "client/cli/command.h"

namespace mrl::cli {
namespace {

constexpr uint64_t kFileBytesMax = 1 << 20;

absl::Status Read(const std::string& path, std::string* out) {
  if (path.empty()) return absl::OkStatus();
  MRL_ASSIGN_OR_RETURN(*out, ReadFile(FileSystem::Posix(), path, kFileBytesMax));
  return absl::OkStatus();
}

}  // namespace

void AddConnectionFlags(CLI::App& app, Globals* globals) {
  app.add_option("--server", globals->server, "ADDRESS:PORT of the server")
      ->envname("MRL_SERVER")
      ->capture_default_str();
  app.add_option("--timeout", globals->timeout_s, "Deadline of a call, in seconds")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_flag("--tls", globals->tls, "Use TLS with the system's roots");
  app.add_option("--tls-ca", globals->tls_ca, "Use TLS with the roots in this PEM file")
      ->envname("MRL_TLS_CA");
  app.add_option("--tls-cert", globals->tls_cert, "PEM file with the client's certificate")
      ->envname("MRL_TLS_CERT");
  app.add_option("--tls-key", globals->tls_key, "PEM file with the key of --tls-cert")
      ->envname("MRL_TLS_KEY");
  app.add_option("--api-key-file", globals->api_key_file,
                 "File with the API key; without it the variable MRL_API_KEY is taken")
      ->envname("MRL_API_KEY_FILE");
}

absl::StatusOr<client::ConnectionOptions> MakeConnectionOptions(const Globals& globals) {
  client::ConnectionOptions options;
  options.timeout = absl::Seconds(globals.timeout_s);
  options.tls = globals.tls || !globals.tls_ca.empty() || !globals.tls_cert.empty();
  if (globals.tls_cert.empty() != globals.tls_key.empty()) {
    return absl::InvalidArgumentError("--tls-cert and --tls-key are needed together");
  }
  MRL_RETURN_IF_ERROR(Read(globals.tls_ca, &options.tls_roots));
  MRL_RETURN_IF_ERROR(Read(globals.tls_cert, &options.tls_cert));
  MRL_RETURN_IF_ERROR(Read(globals.tls_key, &options.tls_key));
  if (const char* key = std::getenv("MRL_API_KEY"); key != nullptr) options.api_key = key;
  MRL_RETURN_IF_ERROR(Read(globals.api_key_file, &options.api_key));
  options.api_key = std::string(absl::StripAsciiWhitespace(options.api_key));
  for (const char c : options.api_key) {
    if (!absl::ascii_isgraph(static_cast<unsigned char>(c))) {
      return absl::InvalidArgumentError("the API key has a byte that is not printable ASCII");
    }
  }
  return options;
}

}  // namespace mrl::cli
