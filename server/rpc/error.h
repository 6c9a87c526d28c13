// Errors on the wire: an absl::Status becomes a grpc::Status with google.rpc details.
#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace mrl::server {

// Names the request field that an INVALID_ARGUMENT is about; it travels as BadRequest. OK stays OK.
absl::Status WithField(absl::Status status, absl::string_view field);
// INVALID_ARGUMENT about `field`.
absl::Status InvalidField(absl::string_view field, absl::string_view message);

// Same code and message; details: ErrorInfo (reason = the code's name, domain mrl) and, for
// INVALID_ARGUMENT, BadRequest. Messages are cut to what fits into the call's trailing metadata.
grpc::Status ToGrpc(const absl::Status& status);

}  // namespace mrl::server
