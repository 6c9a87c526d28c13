#include "server/operations/operation_record.h"

#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace mrl::server {

std::string EncodeOperation(const Operation& operation) {
  nlohmann::json json = {{"id", operation.id},
                         {"method", operation.method},
                         {"collection", operation.collection},
                         {"request", absl::Base64Escape(operation.request)},
                         {"rows_done", operation.rows_done},
                         {"rows", operation.rows},
                         {"created_ns", absl::ToUnixNanos(operation.created)},
                         {"cancel_requested", operation.cancel_requested}};
  if (operation.done()) {
    json["ended_ns"] = absl::ToUnixNanos(operation.ended);
    json["code"] = static_cast<int>(operation.status.code());
    json["message"] = std::string(operation.status.message());
    json["response"] = absl::Base64Escape(operation.response);
  }
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

absl::StatusOr<Operation> DecodeOperation(const std::string& bytes) {
  const nlohmann::json json = nlohmann::json::parse(bytes, nullptr, /*allow_exceptions=*/false);
  Operation operation;
  try {
    operation.id = json.at("id").get<std::string>();
    operation.method = json.at("method").get<std::string>();
    operation.collection = json.at("collection").get<std::string>();
    operation.rows_done = json.at("rows_done").get<uint64_t>();
    operation.rows = json.at("rows").get<uint64_t>();
    operation.created = absl::FromUnixNanos(json.at("created_ns").get<int64_t>());
    operation.cancel_requested = json.at("cancel_requested").get<bool>();
    bool whole = absl::Base64Unescape(json.at("request").get<std::string>(), &operation.request);
    if (json.contains("ended_ns")) {
      operation.ended = absl::FromUnixNanos(json.at("ended_ns").get<int64_t>());
      operation.status = absl::Status(static_cast<absl::StatusCode>(json.at("code").get<int>()),
                                      json.at("message").get<std::string>());
      whole = absl::Base64Unescape(json.at("response").get<std::string>(), &operation.response) &&
              whole;
    }
    if (whole) return operation;
  } catch (const nlohmann::json::exception&) {
    // Said below.
  }
  return absl::DataLossError(
      absl::StrCat("an operation's record of ", bytes.size(), " bytes is not understood"));
}

}  // namespace mrl::server
