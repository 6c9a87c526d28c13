#include "server/http/connections.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace mrl::server {

void Connections::Reserve() {
  const auto has_place = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return taken_ < max_; };
  const auto has_place_or_oldest = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return taken_ < max_ || !open_.empty();
  };
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(&has_place_or_oldest));
  if (!has_place()) shutdown(open_.front(), SHUT_RDWR);
  mutex_.Await(absl::Condition(&has_place));
  ++taken_;
}

void Connections::Enter(int socket) {
  absl::MutexLock lock(&mutex_);
  open_.push_back(socket);
  if (stopping_) shutdown(socket, SHUT_RDWR);
}

void Connections::Leave(int socket) {
  {
    absl::MutexLock lock(&mutex_);
    open_.erase(std::find(open_.begin(), open_.end(), socket));
    --taken_;
  }
  shutdown(socket, SHUT_RDWR);
  close(socket);
}

void Connections::ShutDown() {
  absl::MutexLock lock(&mutex_);
  stopping_ = true;
  for (const int socket : open_) shutdown(socket, SHUT_RDWR);
}

}  // namespace mrl::server
