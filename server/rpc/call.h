// The one wrapper around every call: admission to the bounded worker pool, deadline, cancellation,
// error mapping, log. Handlers run on workers and never on gRPC's own threads.
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "index/schedule/worker_pool.h"
#include "server/rpc/error.h"

namespace mrl::server {

// What a handler may know of its call. Thread-safe.
class Call {
 public:
  // `method` is a literal.
  Call(absl::string_view method, const grpc::CallbackServerContext& context);
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // True once the caller cancelled or the deadline passed.
  bool stopped() const;
  // OK, CANCELLED or DEADLINE_EXCEEDED.
  absl::Status CheckStopped() const;
  double queue_micros() const { return queue_micros_; }
  double elapsed_micros() const;

  // For the wrapper.
  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  void LeaveQueue() { queue_micros_ = elapsed_micros(); }
  // The status that the caller gets, which is also logged.
  grpc::Status End(absl::Status status) const;

 private:
  const absl::string_view method_;
  const std::chrono::steady_clock::time_point arrival_;
  const std::chrono::system_clock::time_point deadline_;
  double queue_micros_ = 0;
  std::atomic<bool> cancelled_{false};
};

template <typename Request, typename Response>
using UnaryHandler =
    std::function<absl::Status(const Call& call, const Request& request, Response* response)>;

template <typename Request, typename Response>
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  // Deletes itself when gRPC is done with it. request and response live as long.
  static grpc::ServerUnaryReactor* Start(schedule::WorkerPool& pool, absl::string_view method,
                                         grpc::CallbackServerContext* context,
                                         const Request* request, Response* response,
                                         UnaryHandler<Request, Response> handler) {
    auto* self = new UnaryCall(method, *context);
    const absl::Status admitted = pool.Submit([self, request, response, run = std::move(handler)] {
      self->call_.LeaveQueue();
      absl::Status status = self->call_.CheckStopped();
      if (status.ok()) status = run(self->call_, *request, response);
      self->Finish(self->call_.End(std::move(status)));
    });
    if (!admitted.ok()) self->Finish(self->call_.End(admitted));
    return self;
  }

 private:
  UnaryCall(absl::string_view method, const grpc::CallbackServerContext& context)
      : call_(method, context) {}
  void OnCancel() override { call_.Cancel(); }
  void OnDone() override { delete this; }

  Call call_;
};

// Makes the messages of a server stream, one at a time. Used by one thread at a time.
template <typename Response>
class ChunkSource {
 public:
  virtual ~ChunkSource() = default;
  // Fills the empty `chunk`; false when there is nothing more.
  virtual absl::StatusOr<bool> Next(const Call& call, Response* chunk) = 0;
};

// A worker is taken for the making of each chunk and given back while the chunk is written, so that
// a slow reader holds no worker.
template <typename Response>
class StreamCall final : public grpc::ServerWriteReactor<Response> {
 public:
  using Source = std::unique_ptr<ChunkSource<Response>>;
  using Opener = std::function<absl::StatusOr<Source>(const Call& call)>;

  // Deletes itself when gRPC is done with it; the request lives as long.
  static grpc::ServerWriteReactor<Response>* Start(schedule::WorkerPool& pool,
                                                   absl::string_view method,
                                                   grpc::CallbackServerContext* context,
                                                   Opener opener) {
    auto* self = new StreamCall(pool, method, *context, std::move(opener));
    const absl::Status admitted = pool.Submit([self] { self->Step(); });
    if (!admitted.ok()) self->Finish(self->call_.End(admitted));
    return self;
  }

 private:
  StreamCall(schedule::WorkerPool& pool, absl::string_view method,
             const grpc::CallbackServerContext& context, Opener opener)
      : pool_(pool), call_(method, context), opener_(std::move(opener)) {}

  // Nothing of `this` may be touched after StartWrite or Finish: another thread goes on with it.
  void Step() {
    absl::StatusOr<bool> more = MakeChunk();
    if (more.ok() && *more) return this->StartWrite(&chunk_);
    this->Finish(call_.End(more.status()));
  }

  absl::StatusOr<bool> MakeChunk() {
    if (absl::Status status = call_.CheckStopped(); !status.ok()) return status;
    if (source_ == nullptr) {
      call_.LeaveQueue();
      auto source = opener_(call_);
      if (!source.ok()) return source.status();
      source_ = *std::move(source);
    }
    chunk_.Clear();
    return source_->Next(call_, &chunk_);
  }

  // An admitted stream is not refused half-way: on a full queue it tries again a little later.
  void Continue() {
    const absl::Status admitted = pool_.Submit([this] { Step(); });
    if (admitted.ok()) return;
    if (!absl::IsResourceExhausted(admitted) || call_.stopped()) {
      return this->Finish(call_.End(call_.stopped() ? call_.CheckStopped() : admitted));
    }
    retry_ = std::make_unique<grpc::Alarm>();  // not reused: this may run inside the old one's call
    retry_->Set(std::chrono::system_clock::now() + std::chrono::milliseconds(2),
                [this](bool) { Continue(); });
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return this->Finish(call_.End(absl::CancelledError("the reader is gone")));
    Continue();
  }
  void OnCancel() override { call_.Cancel(); }
  void OnDone() override { delete this; }

  schedule::WorkerPool& pool_;
  Call call_;
  Opener opener_;
  Source source_;
  Response chunk_;
  std::unique_ptr<grpc::Alarm> retry_;
};

}  // namespace mrl::server
