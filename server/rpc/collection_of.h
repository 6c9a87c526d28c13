// The collection that a request is about, whatever its field is called.
#pragma once

#include <concepts>
#include <string>

#include "absl/strings/string_view.h"

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

// Empty when the request names none. Lives as long as the request.
template <typename Request>
absl::string_view CollectionOf(const Request& request) {
  if constexpr (HasCollection<Request>) {
    return request.collection();
  } else if constexpr (HasSearch<Request>) {
    return request.search().collection();
  } else if constexpr (HasName<Request>) {
    return request.name();
  } else {
    return "";
  }
}

}  // namespace mrl::server
