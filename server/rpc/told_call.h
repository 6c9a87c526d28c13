// A server stream whose handler tells its messages as it goes, on one worker from start to end.
#pragma once

#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/rpc/call.h"

namespace mrl::server {

// For a few small messages: those that the reader has not taken yet are kept. A caller who goes
// away, or takes nothing for too long, stops it.
template <typename Response>
class ToldCall final : public grpc::ServerWriteReactor<Response>, public Admission::Task {
 public:
  // Sends a message.
  using Tell = std::function<void(Response)>;
  // Polls call.stopped().
  using Handler = std::function<absl::Status(Call& call, const Tell& tell)>;

  // Deletes itself when gRPC is done with it; the request lives as long.
  template <typename Request>
  static grpc::ServerWriteReactor<Response>* Start(Desk& desk, absl::string_view method,
                                                   grpc::CallbackServerContext* context,
                                                   const Request* request, Handler handler) {
    auto* self = new ToldCall(desk, method, *context, CollectionOf(*request), std::move(handler));
    const absl::Status entered = self->call_.Enter(self);
    if (!entered.ok()) self->Refuse(entered);
    return self;
  }

 private:
  ToldCall(Desk& desk, absl::string_view method, grpc::CallbackServerContext& context,
           absl::string_view collection, Handler handler)
      : call_(desk, method, context, collection), handler_(std::move(handler)), stall_(context) {}

  // `this` may be gone when it returns.
  void Run() override {
    call_.LeaveQueue();
    absl::Status status = call_.CheckStopped();
    if (status.ok()) {
      status = handler_(call_, [this](Response message) { Send(std::move(message)); });
    }
    bool is_quiet = false;
    {
      absl::MutexLock lock(&mutex_);
      ended_ = status;
      is_quiet = !writing_;
    }
    if (is_quiet) this->Finish(call_.End(std::move(status)));
  }
  void Refuse(absl::Status why) override { this->Finish(call_.End(std::move(why))); }

  void Send(Response message) {
    {
      absl::MutexLock lock(&mutex_);
      if (writing_) {
        waiting_.push_back(std::move(message));
        return;
      }
      writing_ = true;
      now_ = std::move(message);
    }
    Write();
  }

  // Only the handler, which keeps it alive, may touch `this` afterwards.
  void Write() {
    stall_.Begin(call_.read_stall());
    this->StartWrite(&now_);
  }

  void OnWriteDone(bool ok) override {
    stall_.End();
    if (!ok) call_.Cancel();
    bool more = false;
    std::optional<absl::Status> ended;
    {
      absl::MutexLock lock(&mutex_);
      if (!ok) waiting_.clear();
      more = !waiting_.empty();
      if (more) {
        now_ = std::move(waiting_.front());
        waiting_.pop_front();
      } else {
        writing_ = false;
        ended = ended_;
      }
    }
    if (more) return Write();
    if (ended.has_value()) this->Finish(call_.End(*std::move(ended)));
  }
  void OnCancel() override { call_.Cancel(); }
  void OnDone() override { delete this; }

  Call call_;
  const Handler handler_;
  ReadStall stall_;
  Response now_;  // being written; belongs to whoever set writing_
  absl::Mutex mutex_;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<Response> waiting_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> ended_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mrl::server
