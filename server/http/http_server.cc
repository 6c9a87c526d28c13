#include "server/http/http_server.h"

#include <httplib.h>
#include <sys/socket.h>

#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/http/address.h"
#include "server/http/connections.h"
#include "server/http/patient_stream.h"

namespace mrl::server {
namespace {

// Pages are small and quick. A client that is slow holds one of the places, each of which has a
// thread, for 5 s at most, and less where others come.
constexpr size_t kConnectionsMax = 16;
constexpr absl::Duration kPatience = absl::Seconds(5);
constexpr size_t kRequestBytesMax = 16 << 10;
constexpr size_t kBodyBytesMax = 1024;
constexpr int kBacklog = 128;  // the library's 5 would leave the sixth that comes at once waiting

// The library takes the next connection once this one has a place.
class Queue final : public httplib::TaskQueue {
 public:
  explicit Queue(Connections& connections) : connections_(connections) {}
  void enqueue(std::function<void()> work) override {
    connections_.Reserve();
    pool_.enqueue(std::move(work));
  }
  void shutdown() override {
    connections_.ShutDown();
    pool_.shutdown();
  }

 private:
  Connections& connections_;
  httplib::ThreadPool pool_{kConnectionsMax};
};

// One request a connection.
class Library final : public httplib::Server {
 public:
  Library() {
    new_task_queue = [this] { return new Queue(connections_); };
  }
  // Once it is bound.
  void LengthenBacklog() { ::listen(svr_sock_, kBacklog); }

 private:
  bool process_and_close_socket(socket_t socket) override {
    connections_.Enter(socket);
    PatientStream stream(socket, kPatience, kRequestBytesMax);
    bool closed = false;
    const bool answered = process_request(stream, /*close_connection=*/true, closed, nullptr);
    connections_.Leave(socket);
    return answered;
  }

  Connections connections_{kConnectionsMax};
};

class LibServer final : public HttpServer {
 public:
  LibServer(std::string bind, Pages pages) : bind_(std::move(bind)), pages_(std::move(pages)) {
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
    server_.LengthenBacklog();
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
  Library server_;
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
