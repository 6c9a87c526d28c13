#include "server/rpc/error.h"

#include <string>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace mrl::server {
namespace {

constexpr absl::string_view kFieldUrl = "mrl/field";
// Trailing metadata may have 8 KB, and the message travels three times: plain, in Status, in
// BadRequest.
constexpr size_t kMessageBytesMax = 1500;

}  // namespace

absl::Status WithField(absl::Status status, absl::string_view field) {
  if (!status.ok() && !status.GetPayload(kFieldUrl))
    status.SetPayload(kFieldUrl, absl::Cord(field));
  return status;
}

absl::Status InvalidField(absl::string_view field, absl::string_view message) {
  return WithField(absl::InvalidArgumentError(message), field);
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  std::string message(status.message());
  if (message.size() > kMessageBytesMax) {
    message.resize(kMessageBytesMax);
    absl::StrAppend(&message, "…");
  }
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(message);
  google::rpc::ErrorInfo info;
  info.set_reason(absl::StatusCodeToString(status.code()));
  info.set_domain("mrl");
  details.add_details()->PackFrom(info);
  if (absl::IsInvalidArgument(status)) {
    google::rpc::BadRequest bad;
    auto* violation = bad.add_field_violations();
    if (auto field = status.GetPayload(kFieldUrl)) violation->set_field(std::string(*field));
    violation->set_description(message);
    details.add_details()->PackFrom(bad);
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message,
                      details.SerializeAsString());
}

}  // namespace mrl::server
