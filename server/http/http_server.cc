#include "server/http/http_server.h"

#include <httplib.h>
#include <sys/socket.h>

#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/http/address.h"

namespace mrl::server {
namespace {

// Pages are small and quick; two threads are enough, and a slow client holds one for 5 s at most.
constexpr size_t kThreads = 2;
constexpr int kTimeoutS = 5;
constexpr size_t kBodyBytesMax = 1024;

class LibServer final : public HttpServer {
 public:
  LibServer(std::string bind, Pages pages) : bind_(std::move(bind)), pages_(std::move(pages)) {
    server_.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
    server_.set_read_timeout(kTimeoutS, 0);
    server_.set_write_timeout(kTimeoutS, 0);
    server_.set_keep_alive_timeout(kTimeoutS);
    server_.set_payload_max_length(kBodyBytesMax);
    // The library's default also shares the port with whoever else listens on it.
    server_.set_socket_options([](socket_t socket) {
      const int on = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    });
    for (const auto& entry : pages_) {
      const auto& page = entry.second;
      server_.Get(entry.first, [&page](const httplib::Request&, httplib::Response& response) {
        const HttpReply reply = page();
        response.status = reply.code;
        response.set_content(reply.body, reply.content_type);
      });
    }
  }
  ~LibServer() override {
    if (!thread_.joinable()) return;
    server_.stop();
    thread_.join();
  }

  absl::Status Listen(int port) {
    port_ = port == 0                           ? server_.bind_to_any_port(bind_)
            : server_.bind_to_port(bind_, port) ? port
                                                : -1;
    if (port_ <= 0) {
      return absl::UnavailableError(
          absl::StrCat("cannot listen on ", JoinAddress(bind_, port), " for HTTP"));
    }
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    // Before it runs, stop would be lost.
    while (!server_.is_running()) std::this_thread::yield();
    return absl::OkStatus();
  }
  std::string address() const override { return JoinAddress(bind_, port_); }

 private:
  const std::string bind_;
  const Pages pages_;
  int port_ = -1;
  httplib::Server server_;
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& bind, int port,
                                                              Pages pages) {
  auto server = std::make_unique<LibServer>(bind, std::move(pages));
  if (absl::Status status = server->Listen(port); !status.ok()) return status;
  return server;
}

}  // namespace mrl::server
