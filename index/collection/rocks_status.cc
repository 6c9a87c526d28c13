#include "index/collection/rocks_status.h"

#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace mrl::collection {
namespace {

std::string MessageOf(const rocksdb::Status& status, absl::string_view what) {
  return absl::StrCat(what, ": ", absl::CHexEscape(status.ToString()));
}

}  // namespace

absl::Status FromRocks(const rocksdb::Status& status, absl::string_view what) {
  if (status.ok()) return absl::OkStatus();
  const std::string message = MessageOf(status, what);
  if (status.IsCorruption()) return absl::DataLossError(message);
  if (status.IsNotFound()) return absl::NotFoundError(message);
  if (status.IsNoSpace()) return absl::ResourceExhaustedError(message);
  return absl::InternalError(message);
}

absl::Status FromDamaged(const rocksdb::Status& status, absl::string_view what) {
  if (status.ok()) return absl::OkStatus();
  return absl::DataLossError(MessageOf(status, what));
}

}  // namespace mrl::collection
