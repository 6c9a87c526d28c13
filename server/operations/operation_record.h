// An operation as the journal keeps it: one JSON object, binary strings in base64.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "server/operations/operations.h"

namespace mrl::server {

std::string EncodeOperation(const Operation& operation);
// DATA_LOSS for what EncodeOperation does not make.
absl::StatusOr<Operation> DecodeOperation(const std::string& bytes);

}  // namespace mrl::server
