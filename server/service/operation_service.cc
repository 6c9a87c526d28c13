#include "server/service/operation_service.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "mrl/v1/operation.pb.h"
#include "server/limits.h"
#include "server/rpc/call.h"
#include "server/service/convert.h"

namespace mrl::server {
namespace {

namespace lro = google::longrunning;
constexpr char kPrefix[] = "operations/";

void ToProto(absl::Time time, google::protobuf::Timestamp* out) {
  const int64_t nanos = absl::ToUnixNanos(time);
  out->set_seconds(nanos / 1'000'000'000);
  out->set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
}

// One that the caller's key may see; others do not exist for it.
absl::StatusOr<Operation> Find(const Operations& operations, const Caller& caller,
                               const std::string& name) {
  if (!absl::StartsWith(name, kPrefix)) {
    return InvalidField("name", absl::StrCat("name is '", name.substr(0, Limits::kNameBytes),
                                             "'; operations/ID is needed"));
  }
  absl::StatusOr<Operation> found =
      operations.Get(std::string(absl::StripPrefix(name, kPrefix)).substr(0, Limits::kNameBytes));
  if (!found.ok() || caller.MaySee(found->collection)) return found;
  return absl::NotFoundError(absl::StrCat("operation '", name, "' does not exist"));
}

// In order of ids; a token is the last id of the page before.
absl::Status ListPage(const Operations& operations, const Caller& caller,
                      const lro::ListOperationsRequest& request,
                      lro::ListOperationsResponse* response) {
  if (!request.filter().empty()) {
    return InvalidField("filter", "filters of operations are not offered; leave it empty");
  }
  MRL_ASSIGN_OR_RETURN(const uint64_t size, PageSize(request.page_size()));
  for (const Operation& operation : operations.List()) {
    if (operation.id <= request.page_token() || !caller.MaySee(operation.collection)) continue;
    if (static_cast<uint64_t>(response->operations_size()) == size) {
      response->set_next_page_token(std::string(absl::StripPrefix(
          response->operations(response->operations_size() - 1).name(), kPrefix)));
      break;
    }
    server::ToProto(operation, response->add_operations());
  }
  return absl::OkStatus();
}

}  // namespace

void ToProto(const Operation& operation, lro::Operation* out) {
  out->set_name(absl::StrCat(kPrefix, operation.id));
  v1::OperationMetadata metadata;
  metadata.set_method(operation.method);
  metadata.set_collection(operation.collection);
  metadata.set_rows_done(operation.rows_done);
  metadata.set_rows(operation.rows);
  metadata.set_cancel_requested(operation.cancel_requested);
  ToProto(operation.created, metadata.mutable_create_time());
  out->set_done(operation.done());
  if (operation.done()) {
    ToProto(operation.ended, metadata.mutable_end_time());
    if (operation.status.ok()) {
      out->mutable_response()->ParseFromString(operation.response);
    } else {
      out->mutable_error()->set_code(static_cast<int>(operation.status.code()));
      out->mutable_error()->set_message(std::string(operation.status.message()));
    }
  }
  out->mutable_metadata()->PackFrom(metadata);
}

grpc::ServerUnaryReactor* OperationService::GetOperation(grpc::CallbackServerContext* context,
                                                         const lro::GetOperationRequest* request,
                                                         lro::Operation* response) {
  return UnaryCall<lro::GetOperationRequest, lro::Operation>::Start(
      desk_, "GetOperation", context, request, response,
      [this](Call& call, const lro::GetOperationRequest& in, lro::Operation* out) -> absl::Status {
        MRL_ASSIGN_OR_RETURN(const Operation found, Find(operations_, call.caller(), in.name()));
        ToProto(found, out);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* OperationService::ListOperations(
    grpc::CallbackServerContext* context, const lro::ListOperationsRequest* request,
    lro::ListOperationsResponse* response) {
  return UnaryCall<lro::ListOperationsRequest, lro::ListOperationsResponse>::Start(
      desk_, "ListOperations", context, request, response,
      [this](Call& call, const lro::ListOperationsRequest& in, lro::ListOperationsResponse* out) {
        return ListPage(operations_, call.caller(), in, out);
      });
}

grpc::ServerUnaryReactor* OperationService::CancelOperation(
    grpc::CallbackServerContext* context, const lro::CancelOperationRequest* request,
    google::protobuf::Empty* response) {
  return UnaryCall<lro::CancelOperationRequest, google::protobuf::Empty>::Start(
      desk_, "CancelOperation", context, request, response,
      [this](Call& call, const lro::CancelOperationRequest& in,
             google::protobuf::Empty*) -> absl::Status {
        MRL_ASSIGN_OR_RETURN(const Operation found, Find(operations_, call.caller(), in.name()));
        return operations_.Cancel(found.id);
      });
}

grpc::ServerUnaryReactor* OperationService::DeleteOperation(
    grpc::CallbackServerContext* context, const lro::DeleteOperationRequest* request,
    google::protobuf::Empty* response) {
  return UnaryCall<lro::DeleteOperationRequest, google::protobuf::Empty>::Start(
      desk_, "DeleteOperation", context, request, response,
      [this](Call& call, const lro::DeleteOperationRequest& in,
             google::protobuf::Empty*) -> absl::Status {
        MRL_ASSIGN_OR_RETURN(const Operation found, Find(operations_, call.caller(), in.name()));
        return operations_.Delete(found.id);
      });
}

}  // namespace mrl::server
