// A socket as the HTTP library reads and writes it, with bounds that count over the whole request:
// those of the library itself begin anew with each byte.
#pragma once

#include <httplib.h>
#include <poll.h>

#include <cstddef>
#include <string>

#include "absl/time/time.h"

namespace mrl::server {

// For one request and its reply. Does not own the socket.
class PatientStream final : public httplib::Stream {
 public:
  // Waits for the client for `patience` in all, and reads `bytes_max` of it; what goes beyond
  // fails.
  PatientStream(int socket, absl::Duration patience, size_t bytes_max)
      : socket_(socket), patience_(patience), unread_max_(bytes_max) {}

  bool is_readable() const override { return at_ < end_ || Wait(POLLIN); }
  bool is_writable() const override { return Wait(POLLOUT); }
  // As recv: 0 at the client's end, -1 on failure.
  ssize_t read(char* out, size_t size) override;
  // All of it, or -1.
  ssize_t write(const char* data, size_t size) override;
  // No page depends on who asks.
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  socket_t socket() const override { return socket_; }

 private:
  // Whether `event` came before the patience was spent.
  bool Wait(short event) const;

  const int socket_;
  mutable absl::Duration patience_;
  size_t unread_max_;
  char buffer_[4096];  // of which at_ to end_ is not given out yet
  size_t at_ = 0, end_ = 0;
};

}  // namespace mrl::server
