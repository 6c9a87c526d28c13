#include "server/lifecycle.h"

#include <pthread.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>

namespace mrl::server {
namespace {

constexpr int kWake = SIGUSR1;  // from the destructor to the thread

// Libraries start threads before main (OpenBLAS does), and those take signals unblocked: whatever
// thread gets one hands it to the listener. pthread_kill is safe in a handler.
std::atomic<pthread_t> listener;

void HandToListener(int number) { pthread_kill(listener.load(), number); }

}  // namespace

Signals::Signals() {
  signal(SIGPIPE, SIG_IGN);
  sigemptyset(&set_);
  for (int number : {SIGTERM, SIGINT, SIGHUP, kWake}) sigaddset(&set_, number);
  pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  thread_ = std::thread([this] { Listen(); });
  listener = thread_.native_handle();
  for (int number : {SIGTERM, SIGINT, SIGHUP}) signal(number, HandToListener);
}

Signals::~Signals() {
  for (int number : {SIGTERM, SIGINT, SIGHUP}) signal(number, SIG_DFL);
  pthread_kill(thread_.native_handle(), kWake);
  thread_.join();
}

void Signals::Listen() {
  while (true) {
    int number = 0;
    if (sigwait(&set_, &number) != 0) continue;
    if (number == kWake) return;
    const bool stop = number == SIGTERM || number == SIGINT;
    if (stop && stopping()) _exit(128 + number);
    if (stop) {
      stopping_.store(true, std::memory_order_release);
      spdlog::info("{}: stopping", number == SIGTERM ? "SIGTERM" : "SIGINT");
    }
    absl::MutexLock lock(&mutex_);
    events_.push_back(stop ? Event::kStop : Event::kReload);
  }
}

Signals::Event Signals::Next() {
  const auto has_event = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return !events_.empty(); };
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(&has_event));
  const Event event = events_.front();
  events_.pop_front();
  return event;
}

}  // namespace mrl::server
