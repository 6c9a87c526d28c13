// google.longrunning.Operations, over what server/operations runs.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "google/longrunning/operations.grpc.pb.h"
#include "server/operations/operations.h"
#include "server/registry.h"
#include "server/rpc/desk.h"

namespace mrl::server {

// The messages' form of an operation.
void ToProto(const Operation& operation, google::longrunning::Operation* out);

// What a runner gives back.
template <typename Message>
std::string Packed(const Message& message) {
  google::protobuf::Any any;
  any.PackFrom(message);
  return any.SerializeAsString();
}
// What a runner was asked.
template <typename Message>
absl::StatusOr<Message> RequestOf(const Operation& operation) {
  Message request;
  if (request.ParseFromString(operation.request)) return request;
  return absl::InternalError("the request of the operation cannot be read");
}

// WaitOperation is not offered: callers ask again. Arguments outlive the service. Thread-safe.
class OperationService final : public google::longrunning::Operations::CallbackService {
 public:
  OperationService(Operations& operations, Desk& desk) : operations_(operations), desk_(desk) {}

  grpc::ServerUnaryReactor* GetOperation(grpc::CallbackServerContext* context,
                                         const google::longrunning::GetOperationRequest* request,
                                         google::longrunning::Operation* response) override;
  grpc::ServerUnaryReactor* ListOperations(
      grpc::CallbackServerContext* context,
      const google::longrunning::ListOperationsRequest* request,
      google::longrunning::ListOperationsResponse* response) override;
  grpc::ServerUnaryReactor* CancelOperation(
      grpc::CallbackServerContext* context,
      const google::longrunning::CancelOperationRequest* request,
      google::protobuf::Empty* response) override;
  grpc::ServerUnaryReactor* DeleteOperation(
      grpc::CallbackServerContext* context,
      const google::longrunning::DeleteOperationRequest* request,
      google::protobuf::Empty* response) override;

 private:
  Operations& operations_;
  Desk& desk_;
};

}  // namespace mrl::server
