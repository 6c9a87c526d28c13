// The two status macros, and the few ways a Status is made or changed across the project.
//
// Strings: Debian's Abseil has its own absl::string_view, so the project speaks absl::string_view
// everywhere and std::string_view nowhere; std::string converts to it, and a newer Abseil makes the
// two types one.
#pragma once

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// Returns the error of `expr` (a Status) from the enclosing function, or goes on.
#define MRL_RETURN_IF_ERROR(expr)                                                 \
  do {                                                                            \
    if (absl::Status mrl_status_ = (expr); !mrl_status_.ok()) return mrl_status_; \
  } while (false)

// Declares or assigns `lhs` from `expr` (a StatusOr), or returns its error.
#define MRL_ASSIGN_OR_RETURN(lhs, expr) \
  MRL_ASSIGN_OR_RETURN_IMPL_(MRL_CONCAT_(mrl_status_or_, __LINE__), lhs, expr)
#define MRL_CONCAT_INNER_(a, b) a##b
#define MRL_CONCAT_(a, b) MRL_CONCAT_INNER_(a, b)
#define MRL_ASSIGN_OR_RETURN_IMPL_(tmp, lhs, expr) \
  auto tmp = (expr);                               \
  if (!tmp.ok()) return std::move(tmp).status();   \
  lhs = std::move(tmp).value()

namespace mrl {

// The same code and payloads, with `context: ` put before the message. OK stays OK.
absl::Status Annotate(const absl::Status& status, absl::string_view context);

// The Status of a failed system call: NotFound, AlreadyExists, PermissionDenied, ResourceExhausted
// (no space, quota, descriptors), otherwise Internal; the message is `what: strerror(error)`.
absl::Status ErrnoStatus(int error, absl::string_view what);

}  // namespace mrl
