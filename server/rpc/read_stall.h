// Cancels a stream whose reader takes nothing, so that it holds its memory for a bounded time.
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <memory>

#include "absl/time/time.h"

namespace mrl::server {

// Begin and End come in turn, from one thread at a time; the alarm comes from another. When it is
// destroyed nothing is cancelled any more.
class ReadStall {
 public:
  explicit ReadStall(grpc::CallbackServerContext& context);
  ~ReadStall();
  ReadStall(const ReadStall&) = delete;
  ReadStall& operator=(const ReadStall&) = delete;

  // A write begins: cancel the call unless End comes within `limit`.
  void Begin(absl::Duration limit);
  void End();

 private:
  struct Watched;
  const std::shared_ptr<Watched> watched_;
  std::unique_ptr<grpc::Alarm> alarm_;
};

}  // namespace mrl::server
