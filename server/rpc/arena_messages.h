// Request and reply of a unary call on one arena that is freed as a whole.
#pragma once

#include <google/protobuf/arena.h>
#include <grpcpp/support/message_allocator.h>

namespace mrl::server {

// Thread-safe. Outlives the calls; given to a service by its SetMessageAllocatorFor_METHOD.
template <typename Request, typename Response>
class ArenaMessages final : public grpc::MessageAllocator<Request, Response> {
 public:
  grpc::MessageHolder<Request, Response>* AllocateMessages() override { return new Holder; }

 private:
  class Holder final : public grpc::MessageHolder<Request, Response> {
   public:
    Holder() : arena_(first_block_, sizeof first_block_) {
      this->set_request(google::protobuf::Arena::CreateMessage<Request>(&arena_));
      this->set_response(google::protobuf::Arena::CreateMessage<Response>(&arena_));
    }
    // By gRPC, at the end of the call.
    void Release() override { delete this; }

   private:
    // What ten hits with their stats take; more comes from the heap.
    alignas(16) char first_block_[4096];
    google::protobuf::Arena arena_;
  };
};

}  // namespace mrl::server
