// The pages of a collection's own files.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/file.h"

namespace mrl::collection {

// Reads every page of every segment and side file that the manifest names and checks it: all that
// Verify does short of RocksDB's files. `progress` is Verify's. DATA_LOSS names the damaged part.
absl::Status CheckPages(
    FileSystem& files, const std::string& path,
    const std::function<void(absl::string_view, uint64_t, uint64_t)>& progress = nullptr);

}  // namespace mrl::collection
