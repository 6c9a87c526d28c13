// The one wrapper around every call: gate, admission to the bounded worker pool, deadline,
// cancellation, error mapping, metrics, log. Handlers run on workers; a JoinedCall may run on the
// thread of gRPC's that it came by while workers are idle (docs/adr/0013).
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "index/funnel/run.h"
#include "server/rpc/collection_of.h"
#include "server/rpc/desk.h"
#include "server/rpc/error.h"
#include "server/rpc/read_stall.h"
#include "server/trace/trace_parent.h"

namespace mrl::server {

// What a handler may know of its call, and tell about it. Thread-safe, but for Report.
class Call {
 public:
  // `method` is the name in the table of methods. `collection` lives as long as the call.
  Call(Desk& desk, absl::string_view method, const grpc::CallbackServerContext& context,
       absl::string_view collection);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // True once the caller cancelled or the deadline passed.
  bool stopped() const;
  // OK, CANCELLED or DEADLINE_EXCEEDED.
  absl::Status CheckStopped() const;
  // The far future where the caller set none.
  std::chrono::system_clock::time_point deadline() const { return deadline_; }
  double queue_micros() const { return queue_micros_; }
  // Idle workers, which may take a share of what a handler does.
  Parallel* helpers() const { return &desk_.admission.helpers(); }
  double elapsed_micros() const;
  const Caller& caller() const { return caller_; }
  // The quota of the collection that the call names; empty where there is none.
  const Quotas::Held& held() const { return held_; }
  // Tells how a search went; the slowest of a batch is kept for the log. On the handler's thread.
  void Report(const funnel::Trace& trace, const funnel::Plan& plan);

  // For the wrapper.
  // Before Enter: a stream's first message says which collection it is about.
  void SetCollection(absl::string_view collection) { collection_ = collection; }
  // State and gate.
  absl::Status CheckEntry();
  // State, gate and admission, in this order. When it fails, `task` is never run.
  absl::Status Enter(Admission::Task* task);
  absl::Status Resume(Admission::Task* task);
  absl::Duration read_stall() const { return desk_.read_stall; }
  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  // It runs before gRPC knows its reactor, which therefore hears of no cancellation.
  void BeginHere() { here_ = true; }
  void LeaveQueue();
  // The status that the caller gets, which is also counted and logged. Once a call.
  grpc::Status End(absl::Status status);

 private:
  Admission::Claim MakeClaim() const;
  absl::string_view Metadata(const char* name) const;
  std::string RequestId() const;
  absl::Status ForCaller(absl::Status status) const;
  void WriteLog(const absl::Status& status, const std::string& request_id,
                const std::string& trace_id) const;
  // Sends the call's spans, where it is traced.
  void WriteTrace(const absl::Status& status, const std::optional<TraceParent>& parent) const;
  bool slow() const;
  bool cancelled() const;

  Desk& desk_;
  const absl::string_view name_;
  const Method* const method_;  // null when it is not in the table
  const grpc::CallbackServerContext& context_;
  absl::string_view collection_;
  const std::chrono::steady_clock::time_point arrival_;
  const std::chrono::system_clock::time_point deadline_;
  Caller caller_;
  Quotas::Held held_;
  bool admitted_ = false;
  double queue_micros_ = 0;
  double search_micros_ = 0;  // of the search that stages_ and plan_ are of
  std::vector<funnel::StageTrace> stages_;
  std::string plan_;
  std::atomic<bool> cancelled_{false};
  bool here_ = false;
};

template <typename Request, typename Response>
using UnaryHandler =
    std::function<absl::Status(Call& call, const Request& request, Response* response)>;

template <typename Request, typename Response>
class UnaryCall final : public grpc::ServerUnaryReactor, public Admission::Task {
 public:
  using Handler = UnaryHandler<Request, Response>;

  // Deletes itself when gRPC is done with it. request and response live as long.
  static grpc::ServerUnaryReactor* Start(Desk& desk, absl::string_view method,
                                         grpc::CallbackServerContext* context,
                                         const Request* request, Response* response,
                                         Handler handler) {
    auto* self = new UnaryCall(desk, method, *context, *request, response, std::move(handler));
    const absl::Status entered = self->call_.Enter(self);
    if (!entered.ok()) self->Refuse(entered);
    return self;
  }

 private:
  UnaryCall(Desk& desk, absl::string_view method, const grpc::CallbackServerContext& context,
            const Request& request, Response* response, Handler handler)
      : call_(desk, method, context, CollectionOf(request)),
        request_(request),
        response_(response),
        handler_(std::move(handler)) {}

  void Run() override {
    call_.LeaveQueue();
    absl::Status status = call_.CheckStopped();
    if (status.ok()) status = handler_(call_, request_, response_);
    Finish(call_.End(std::move(status)));
  }
  void Refuse(absl::Status why) override { Finish(call_.End(std::move(why))); }
  void OnCancel() override { call_.Cancel(); }
  void OnDone() override { delete this; }

  Call call_;
  const Request& request_;
  Response* const response_;
  const Handler handler_;
};

// Makes the messages of a server stream, one at a time. Used by one thread at a time.
template <typename Response>
class ChunkSource {
 public:
  virtual ~ChunkSource() = default;
  // Fills the empty `chunk`; false when there is nothing more.
  virtual absl::StatusOr<bool> Next(Call& call, Response* chunk) = 0;
};

// A worker is taken for the making of each chunk and given back while the chunk is written, so that
// a slow reader holds no worker, and no more than one chunk of memory; one that stalls is
// cancelled.
template <typename Response>
class StreamCall final : public grpc::ServerWriteReactor<Response>, public Admission::Task {
 public:
  using Source = std::unique_ptr<ChunkSource<Response>>;
  using Opener = std::function<absl::StatusOr<Source>(Call& call)>;

  // Deletes itself when gRPC is done with it; the request lives as long.
  template <typename Request>
  static grpc::ServerWriteReactor<Response>* Start(Desk& desk, absl::string_view method,
                                                   grpc::CallbackServerContext* context,
                                                   const Request* request, Opener opener) {
    auto* self = new StreamCall(desk, method, *context, CollectionOf(*request), std::move(opener));
    const absl::Status entered = self->call_.Enter(self);
    if (!entered.ok()) self->Finish(self->call_.End(entered));
    return self;
  }

 private:
  StreamCall(Desk& desk, absl::string_view method, grpc::CallbackServerContext& context,
             absl::string_view collection, Opener opener)
      : call_(desk, method, context, collection), opener_(std::move(opener)), stall_(context) {}

  // Nothing of `this` may be touched after StartWrite or Finish: another thread goes on with it.
  void Run() override {
    absl::StatusOr<bool> more = MakeChunk();
    if (more.ok() && *more) {
      stall_.Begin(call_.read_stall());
      return this->StartWrite(&chunk_);
    }
    this->Finish(call_.End(more.status()));
  }

  // One that has begun is not refused half-way.
  void Refuse(absl::Status why) override {
    if (source_ != nullptr) return Continue();
    this->Finish(call_.End(std::move(why)));
  }

  absl::StatusOr<bool> MakeChunk() {
    if (source_ == nullptr) call_.LeaveQueue();
    if (absl::Status status = call_.CheckStopped(); !status.ok()) return status;
    if (source_ == nullptr) {
      auto source = opener_(call_);
      if (!source.ok()) return source.status();
      source_ = *std::move(source);
    }
    chunk_.Clear();
    return source_->Next(call_, &chunk_);
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

  void OnWriteDone(bool ok) override {
    stall_.End();
    if (!ok) return this->Finish(call_.End(absl::CancelledError("the reader is gone")));
    Continue();
  }
  void OnCancel() override { call_.Cancel(); }
  void OnDone() override { delete this; }

  Call call_;
  Opener opener_;
  Source source_;
  Response chunk_;
  ReadStall stall_;
  std::unique_ptr<grpc::Alarm> retry_;
};

}  // namespace mrl::server
