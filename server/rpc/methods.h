// The table of methods: what each needs. A method without an entry is refused, so a new one is
// closed until somebody decides who may call it.
//
// Outside of the table: grpc.health.v1.Health is open to everybody, since probes carry no key, and
// tells no more than whether a name is served; grpc.reflection.v1alpha (--reflection) tells only
// the published API.
#pragma once

#include <cstddef>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace mrl::server {

// In order: who has a role may do what those before it may.
enum class Role { kRead, kWrite, kAdmin };
// "read", "write", "admin".
const char* Name(Role role);

struct Method {
  const char* name;     // without its service; unique
  const char* path;     // as gRPC calls it
  Role role;            // the least that may call it
  bool one_collection;  // its request names a collection, which the caller's key must list
};

// In order of paths.
absl::Span<const Method> Methods();
// Null for a method that is not in the table.
const Method* FindMethod(absl::string_view name);

}  // namespace mrl::server
