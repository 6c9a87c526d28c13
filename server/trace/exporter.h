// Sends spans to an OpenTelemetry collector: OTLP over HTTP in JSON, in batches, by one thread.
//
// Calls never wait for it: when the collector does not keep up or is away, spans are dropped and
// counted.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace mrl::server {

struct Span {
  std::string trace_id, span_id, parent_id;  // hexadecimal; parent_id may be empty
  std::string name;
  bool server = false;  // the call itself, not a part of it
  absl::Time begin, end;
  std::vector<std::pair<const char*, std::string>> attributes;
  std::string error;  // empty = it went well
};

// The body of one request to the collector.
std::string ToOtlpJson(const std::vector<Span>& spans);

// Thread-safe.
class Exporter {
 public:
  static constexpr size_t kQueueMax = 4096;  // spans
  static constexpr size_t kBatchMax = 512;

  struct Options {
    std::string endpoint;  // http://HOST:PORT[/PATH]; /v1/traces is added
    std::string headers;   // NAME=VALUE,… sent with each request; may be secret
    absl::Duration batch_wait = absl::Seconds(2);
  };

  // INVALID_ARGUMENT names what is wrong with the endpoint, or that a header is, without its value.
  static absl::Status Validate(const Options& options);
  // `options` are valid. Nothing is sent yet.
  explicit Exporter(const Options& options);
  // Sends what is left, once, and ends.
  ~Exporter();
  Exporter(const Exporter&) = delete;
  Exporter& operator=(const Exporter&) = delete;

  void Export(std::vector<Span> spans);

  uint64_t sent() const { return sent_; }
  uint64_t dropped() const { return dropped_; }

 private:
  void Work();
  void Send(const std::vector<Span>& spans);
  bool HasBatchOrStops() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stopping_ || queue_.size() >= kBatchMax;
  }

  const Options options_;
  std::atomic<uint64_t> sent_{0}, dropped_{0};
  absl::Mutex mutex_;
  std::deque<Span> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace mrl::server
