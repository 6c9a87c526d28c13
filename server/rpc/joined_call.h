// A unary call whose handler takes several at once: those that wait for a worker at the same time.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "server/rpc/call.h"

namespace mrl::server {

// One of the calls that a handler runs together.
template <typename Request, typename Response>
struct Joined {
  Call& call;
  const Request& request;
  Response* response;
  absl::Status status;  // what the handler says of this one
};

template <typename Request, typename Response>
using JoinedHandler = std::function<void(absl::Span<Joined<Request, Response>> calls)>;

template <typename Request, typename Response>
class JoinedCall final : public grpc::ServerUnaryReactor, public Admission::Task {
 public:
  using Handler = JoinedHandler<Request, Response>;

  // Deletes itself when gRPC is done with it. `request`, `response` and `handler` live as long;
  // calls with the same handler are joined.
  static grpc::ServerUnaryReactor* Start(Desk& desk, absl::string_view method,
                                         grpc::CallbackServerContext* context,
                                         const Request* request, Response* response,
                                         const Handler& handler) {
    auto* self = new JoinedCall(desk, method, *context, *request, response, handler);
    const absl::Status entered = self->call_.Enter(self);
    if (!entered.ok()) self->Refuse(entered);
    return self;
  }

 private:
  JoinedCall(Desk& desk, absl::string_view method, const grpc::CallbackServerContext& context,
             const Request& request, Response* response, const Handler& handler)
      : call_(desk, method, context, CollectionOf(request)),
        request_(request),
        response_(response),
        handler_(handler) {}

  void Run() override {
    call_.LeaveQueue();
    if (absl::Status stopped = call_.CheckStopped(); !stopped.ok()) {
      return EndWith(std::move(stopped));
    }
    Joined<Request, Response> alone = {call_, request_, response_, absl::OkStatus()};
    handler_(absl::MakeSpan(&alone, 1));
    EndWith(std::move(alone.status));
  }
  // Between two threads a call costs more than many a search.
  bool may_run_here() const override { return true; }
  void RunHere() override {
    call_.BeginHere();
    Run();
  }
  const void* joins_as() const override { return &handler_; }

  void RunWith(absl::Span<Admission::Task* const> others) override {
    std::vector<JoinedCall*> calls = {this};
    for (Admission::Task* other : others) calls.push_back(static_cast<JoinedCall*>(other));
    std::vector<JoinedCall*> running;
    std::vector<Joined<Request, Response>> joined;
    for (JoinedCall* one : calls) {
      one->call_.LeaveQueue();
      if (absl::Status stopped = one->call_.CheckStopped(); !stopped.ok()) {
        one->EndWith(std::move(stopped));
        continue;
      }
      running.push_back(one);
      joined.push_back({one->call_, one->request_, one->response_, absl::OkStatus()});
    }
    if (running.empty()) return;
    handler_(absl::MakeSpan(joined));
    for (size_t i = 0; i < running.size(); ++i) running[i]->EndWith(std::move(joined[i].status));
  }

  // `this` may be gone when it returns.
  void EndWith(absl::Status status) { Finish(call_.End(std::move(status))); }
  void Refuse(absl::Status why) override { EndWith(std::move(why)); }
  void OnCancel() override { call_.Cancel(); }
  void OnDone() override { delete this; }

  Call call_;
  const Request& request_;
  Response* const response_;
  const Handler& handler_;
};

}  // namespace mrl::server
