#include "server/rpc/error.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/utf8.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace mrl::server {
namespace {

constexpr absl::string_view kFieldUrl = "mrl/field";
constexpr absl::string_view kReasonUrl = "mrl/reason";
constexpr absl::string_view kRetryUrl = "mrl/retry_ms";
constexpr absl::string_view kQuotaUrl = "mrl/quota";
constexpr absl::string_view kResourceTypeUrl = "mrl/resource_type";
constexpr absl::string_view kResourceUrl = "mrl/resource";
// Trailing metadata may have 8 KB, and the message travels three times: plain, in Status, in
// a detail. A name that the caller made up is cut too.
constexpr size_t kMessageBytesMax = 1500;
constexpr size_t kNameBytesMax = 200;

// The first one set stays: it was set by who knows best.
absl::Status With(absl::Status status, absl::string_view url, absl::string_view value) {
  if (!status.ok() && !status.GetPayload(url)) status.SetPayload(url, absl::Cord(value));
  return status;
}

std::string Payload(const absl::Status& status, absl::string_view url) {
  const auto found = status.GetPayload(url);
  return found ? std::string(*found) : "";
}

template <typename Detail>
void Add(const Detail& detail, google::rpc::Status* details) {
  details->add_details()->PackFrom(detail);
}

void AddErrorInfo(const absl::Status& status, absl::string_view request_id,
                  google::rpc::Status* details) {
  google::rpc::ErrorInfo info;
  std::string reason = ReasonOf(status);
  if (reason.empty()) reason = absl::StatusCodeToString(status.code());
  info.set_reason(std::move(reason));
  info.set_domain("mrl");
  if (!request_id.empty()) (*info.mutable_metadata())["request_id"] = std::string(request_id);
  Add(info, details);
}

void AddBadRequest(const absl::Status& status, const std::string& message,
                   google::rpc::Status* details) {
  google::rpc::BadRequest bad;
  auto* violation = bad.add_field_violations();
  violation->set_field(Payload(status, kFieldUrl));
  violation->set_description(message);
  Add(bad, details);
}

void AddRetryInfo(int64_t wait_ms, google::rpc::Status* details) {
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(wait_ms / 1000);
  retry.mutable_retry_delay()->set_nanos(static_cast<int32_t>(wait_ms % 1000) * 1'000'000);
  Add(retry, details);
}

}  // namespace

absl::Status WithField(absl::Status status, absl::string_view field) {
  return With(std::move(status), kFieldUrl, field);
}

absl::Status InvalidField(absl::string_view field, absl::string_view message) {
  return WithField(absl::InvalidArgumentError(message), field);
}

absl::Status WithReason(absl::Status status, absl::string_view reason) {
  return With(std::move(status), kReasonUrl, reason);
}

std::string ReasonOf(const absl::Status& status) { return Payload(status, kReasonUrl); }

absl::Status WithRetryAfter(absl::Status status, absl::Duration wait) {
  const int64_t wait_ms = std::max<int64_t>(1, absl::ToInt64Milliseconds(wait));
  return With(std::move(status), kRetryUrl, absl::StrCat(wait_ms));
}

absl::Status WithQuota(absl::Status status, absl::string_view subject) {
  return With(std::move(status), kQuotaUrl, subject);
}

absl::Status WithResource(absl::Status status, absl::string_view type, absl::string_view name) {
  return With(With(std::move(status), kResourceTypeUrl, type), kResourceUrl,
              name.substr(0, kNameBytesMax));
}

grpc::Status ToGrpc(const absl::Status& status, absl::string_view request_id) {
  if (status.ok()) return grpc::Status::OK;
  const bool is_long = status.message().size() > kMessageBytesMax;
  std::string message = ToUtf8(status.message().substr(0, kMessageBytesMax));
  if (is_long) absl::StrAppend(&message, "…");
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(message);
  AddErrorInfo(status, request_id, &details);
  if (absl::IsInvalidArgument(status)) AddBadRequest(status, message, &details);
  int64_t wait_ms = 0;
  if (absl::SimpleAtoi(Payload(status, kRetryUrl), &wait_ms)) AddRetryInfo(wait_ms, &details);
  if (const std::string subject = Payload(status, kQuotaUrl); !subject.empty()) {
    google::rpc::QuotaFailure quota;
    auto* violation = quota.add_violations();
    violation->set_subject(subject);
    violation->set_description(message);
    Add(quota, &details);
  }
  if (const std::string type = Payload(status, kResourceTypeUrl); !type.empty()) {
    google::rpc::ResourceInfo resource;
    resource.set_resource_type(type);
    resource.set_resource_name(ToUtf8(Payload(status, kResourceUrl)));
    resource.set_description(message);
    Add(resource, &details);
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message,
                      details.SerializeAsString());
}

}  // namespace mrl::server
