// The wrapper around a call in which each request of a stream is answered before the next is read.
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "server/rpc/call.h"

namespace mrl::server {

// What answers one stream. Used by one thread at a time.
template <typename Request, typename Response>
class Exchange {
 public:
  virtual ~Exchange() = default;
  // Fills the empty `response`; an error ends the stream.
  virtual absl::Status Answer(const Request& request, Response* response) = 0;
};

// A worker is taken for each answer; while nothing has come, and while a reply is written, none is.
// That one request is read at a time is what holds a fast sender back.
template <typename Request, typename Response>
class ExchangeCall final : public grpc::ServerBidiReactor<Request, Response> {
 public:
  // Deletes itself when gRPC is done with it.
  static grpc::ServerBidiReactor<Request, Response>* Start(
      schedule::WorkerPool& pool, absl::string_view method, grpc::CallbackServerContext* context,
      std::unique_ptr<Exchange<Request, Response>> exchange) {
    auto* self = new ExchangeCall(pool, method, *context, std::move(exchange));
    self->StartRead(&self->request_);
    return self;
  }

 private:
  ExchangeCall(schedule::WorkerPool& pool, absl::string_view method,
               const grpc::CallbackServerContext& context,
               std::unique_ptr<Exchange<Request, Response>> exchange)
      : pool_(pool), call_(method, context), exchange_(std::move(exchange)) {}

  // Nothing of `this` may be touched after StartWrite or Finish: another thread goes on with it.
  void Step() {
    absl::Status status = call_.CheckStopped();
    response_.Clear();
    if (status.ok()) status = exchange_->Answer(request_, &response_);
    if (status.ok()) return this->StartWrite(&response_);
    this->Finish(call_.End(std::move(status)));
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

  void OnReadDone(bool ok) override {
    if (ok) return Continue();
    // The sender is done, or gone.
    this->Finish(call_.End(call_.CheckStopped()));
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return this->Finish(call_.End(absl::CancelledError("the reader is gone")));
    this->StartRead(&request_);
  }
  void OnCancel() override { call_.Cancel(); }
  void OnDone() override { delete this; }

  schedule::WorkerPool& pool_;
  Call call_;
  const std::unique_ptr<Exchange<Request, Response>> exchange_;
  Request request_;
  Response response_;
  std::unique_ptr<grpc::Alarm> retry_;
};

}  // namespace mrl::server
