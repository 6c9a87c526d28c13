#include "index/collection/disk_reserve.h"

#include <filesystem>
#include <limits>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace mrl::collection {

uint64_t DiskReserve::FreeBytes(const std::string& path) const {
  if (free_bytes) return free_bytes(path);
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(path, error);
  // Where the system does not say, the write itself will.
  return error ? std::numeric_limits<uint64_t>::max() : space.available;
}

absl::Status DiskReserve::Check(const std::string& path, uint64_t wanted) const {
  if (bytes == 0) return absl::OkStatus();
  const uint64_t left = FreeBytes(path);
  if (left >= bytes && left - bytes >= wanted) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the disk has ", left, " bytes left, ",
                   wanted == 0 ? "" : absl::StrCat(wanted, " are wanted, "), "and the reserve is ",
                   bytes, "; reading and deleting go on"));
}

}  // namespace mrl::collection
