// The wrapper around a call in which each request of a stream is answered before the next is read.
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>
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
// That one request is read at a time is what holds a fast sender back. The call enters with its
// first request, which names the collection; one that has entered is not refused half-way.
template <typename Request, typename Response>
class ExchangeCall final : public grpc::ServerBidiReactor<Request, Response>,
                           public Admission::Task {
 public:
  // Deletes itself when gRPC is done with it.
  static grpc::ServerBidiReactor<Request, Response>* Start(
      Desk& desk, absl::string_view method, grpc::CallbackServerContext* context,
      std::unique_ptr<Exchange<Request, Response>> exchange) {
    auto* self = new ExchangeCall(desk, method, *context, std::move(exchange));
    self->StartRead(&self->request_);
    return self;
  }

 private:
  ExchangeCall(Desk& desk, absl::string_view method, grpc::CallbackServerContext& context,
               std::unique_ptr<Exchange<Request, Response>> exchange)
      : call_(desk, method, context, ""), exchange_(std::move(exchange)), stall_(context) {}

  // Nothing of `this` may be touched after StartWrite or Finish: another thread goes on with it.
  void Run() override {
    if (!begun_) call_.LeaveQueue();
    begun_ = true;
    absl::Status status = call_.CheckStopped();
    response_.Clear();
    if (status.ok()) status = exchange_->Answer(request_, &response_);
    if (!status.ok()) return this->Finish(call_.End(std::move(status)));
    stall_.Begin(call_.read_stall());
    this->StartWrite(&response_);
  }
  void Refuse(absl::Status why) override {
    if (begun_) return Continue();
    this->Finish(call_.End(std::move(why)));
  }

  void Enter() {
    entered_ = true;
    collection_ = std::string(CollectionOf(request_));
    call_.SetCollection(collection_);
    const absl::Status entered = call_.Enter(this);
    if (!entered.ok()) this->Finish(call_.End(entered));
  }

  absl::Status RefuseEmpty() {
    absl::Status allowed = call_.CheckEntry();
    if (!allowed.ok()) return allowed;
    return absl::InvalidArgumentError("the stream has no request that can be read");
  }

  // On a full pool it tries again a little later.
  void Continue() {
    const absl::Status admitted = call_.Resume(this);
    if (admitted.ok()) return;
    if (!absl::IsResourceExhausted(admitted) || call_.stopped()) {
      return this->Finish(call_.End(call_.stopped() ? call_.CheckStopped() : admitted));
    }
    retry_ = std::make_unique<grpc::Alarm>();  // not reused: this may run inside the old one's call
    retry_->Set(std::chrono::system_clock::now() + std::chrono::milliseconds(2),
                [this](bool) { Continue(); });
  }

  void OnReadDone(bool ok) override {
    if (ok) return entered_ ? Continue() : Enter();
    // The sender is done, or gone.
    absl::Status status = call_.CheckStopped();
    if (status.ok() && !entered_) status = RefuseEmpty();
    this->Finish(call_.End(std::move(status)));
  }
  void OnWriteDone(bool ok) override {
    stall_.End();
    if (!ok) return this->Finish(call_.End(absl::CancelledError("the reader is gone")));
    this->StartRead(&request_);
  }
  void OnCancel() override { call_.Cancel(); }
  void OnDone() override { delete this; }

  std::string collection_;  // outlives call_
  Call call_;
  const std::unique_ptr<Exchange<Request, Response>> exchange_;
  Request request_;
  Response response_;
  bool entered_ = false;
  bool begun_ = false;  // the first request is being answered, or was
  ReadStall stall_;
  std::unique_ptr<grpc::Alarm> retry_;
};

}  // namespace mrl::server
