// Errors on the wire: an absl::Status becomes a grpc::Status with google.rpc details.
#pragma once

#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace mrl::server {

// Names the request field that an INVALID_ARGUMENT is about; it travels as BadRequest. OK stays OK.
absl::Status WithField(absl::Status status, absl::string_view field);
// INVALID_ARGUMENT about `field`.
absl::Status InvalidField(absl::string_view field, absl::string_view message);

// Why a call was refused before its handler ran, such as QUEUE_FULL: ErrorInfo.reason, which is the
// code's name otherwise.
absl::Status WithReason(absl::Status status, absl::string_view reason);
// The same as text; empty where there is none.
std::string ReasonOf(const absl::Status& status);
// Waiting this long helps; it travels as RetryInfo. At least 1 ms is sent.
absl::Status WithRetryAfter(absl::Status status, absl::Duration wait);
// Whose quota is used up, such as `key:search-app`; it travels as QuotaFailure.
absl::Status WithQuota(absl::Status status, absl::string_view subject);
// What does not exist or is not open to the caller; it travels as ResourceInfo.
absl::Status WithResource(absl::Status status, absl::string_view type, absl::string_view name);

// Same code and message. Details: ErrorInfo (domain mrl, reason, request_id where it is not empty)
// and those asked for above. Messages are cut to what fits into the call's trailing metadata.
grpc::Status ToGrpc(const absl::Status& status, absl::string_view request_id = "");

}  // namespace mrl::server
