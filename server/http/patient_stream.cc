#include "server/http/patient_stream.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/time/clock.h"

namespace mrl::server {

bool PatientStream::Wait(short event) const {
  if (patience_ <= absl::ZeroDuration()) return false;
  pollfd one = {.fd = socket_, .events = event, .revents = 0};
  const absl::Time begin = absl::Now();
  const int ready = poll(&one, 1, static_cast<int>(absl::ToInt64Milliseconds(patience_)));
  patience_ -= absl::Now() - begin;
  return ready > 0 || (ready < 0 && errno == EINTR);
}

ssize_t PatientStream::read(char* out, size_t size) {
  while (at_ == end_) {
    if (unread_max_ == 0 || !Wait(POLLIN)) return -1;
    const ssize_t got = recv(socket_, buffer_, std::min(sizeof buffer_, unread_max_), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got <= 0) return got;
    at_ = 0;
    end_ = static_cast<size_t>(got);
    unread_max_ -= end_;
  }
  const size_t given = std::min(size, end_ - at_);
  std::memcpy(out, buffer_ + at_, given);
  at_ += given;
  return static_cast<ssize_t>(given);
}

ssize_t PatientStream::write(const char* data, size_t size) {
  size_t sent = 0;
  while (sent < size) {
    if (!Wait(POLLOUT)) return -1;
    const ssize_t taken = send(socket_, data + sent, size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (taken < 0 && errno != EAGAIN && errno != EINTR) return -1;
    if (taken > 0) sent += static_cast<size_t>(taken);
  }
  return static_cast<ssize_t>(size);
}

}  // namespace mrl::server
