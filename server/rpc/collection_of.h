// The collection that a request is about, whatever its field is called.
#pragma once

#include <concepts>
#include <string>

#include "absl/strings/string_view.h"

namespace google::longrunning {
class CancelOperationRequest;
class DeleteOperationRequest;
class GetOperationRequest;
class ListOperationsRequest;
}  // namespace google::longrunning

namespace mrl::server {

template <typename Request>
concept HasCollection = requires(const Request& request) {
  { request.collection() } -> std::same_as<const std::string&>;
};
template <typename Request>
concept HasSearch = requires(const Request& request) {
  { request.search().collection() } -> std::same_as<const std::string&>;
};
template <typename Request>
concept HasName = requires(const Request& request) {
  { request.name() } -> std::same_as<const std::string&>;
};

// One that has the collection itself.
template <typename Request>
concept HasMessage = requires(const Request& request) {
  { request.collection().name() } -> std::same_as<const std::string&>;
};

// What google.longrunning.Operations calls a name is an operation's.
template <typename Request>
concept NamesAnOperation = std::same_as<Request, google::longrunning::GetOperationRequest> ||
    std::same_as<Request, google::longrunning::ListOperationsRequest> ||
    std::same_as<Request, google::longrunning::CancelOperationRequest> ||
    std::same_as<Request, google::longrunning::DeleteOperationRequest>;

// Empty when the request names none. Lives as long as the request.
template <typename Request>
absl::string_view CollectionOf(const Request& request) {
  if constexpr (HasCollection<Request>) {
    return request.collection();
  } else if constexpr (HasSearch<Request>) {
    return request.search().collection();
  } else if constexpr (HasMessage<Request>) {
    return request.collection().name();
  } else if constexpr (HasName<Request> && !NamesAnOperation<Request>) {
    return request.name();
  } else {
    return "";
  }
}

}  // namespace mrl::server
