// The HTTP port for operators: a few read-only pages, without keys and without TLS, so that probes
// and scrapers need neither. It tells names of collections, counts, and paths of damaged files, and
// nothing of the collections' contents.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace mrl::server {

struct HttpReply {
  int code = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

// Thread-safe. Slow clients, and many of them, do not keep others waiting: see connections.h.
class HttpServer {
 public:
  // By path, such as /livez. Called by the server's own threads, several at a time.
  using Pages = std::map<std::string, std::function<HttpReply()>>;

  // Listens and answers until destroyed. UNAVAILABLE when the address cannot be listened on.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& bind, int port,
                                                           Pages pages);
  virtual ~HttpServer() = default;
  // ADDRESS:PORT, with the port that was given out.
  virtual std::string address() const = 0;
};

}  // namespace mrl::server
