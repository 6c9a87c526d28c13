// The profiles of a collection directory. They lie in its manifest: a change is one commit of that,
// with everything else as it was.
#pragma once

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "base/file.h"
#include "index/funnel/profile.h"

namespace mrl::collection {

// Without opening segments. NOT_FOUND when `path` is no collection; DATA_LOSS.
absl::StatusOr<funnel::ProfileSet> ReadProfiles(FileSystem& files, const std::string& path);

using ProfileEdit = std::function<absl::Status(funnel::ProfileSet& profiles)>;
// Changes the profiles of a directory that nobody has open for writing (FAILED_PRECONDITION). Who
// reads it sees the change when it opens it again. An error of `edit` changes nothing and is
// returned.
absl::Status EditProfiles(FileSystem& files, const std::string& path, const ProfileEdit& edit);

}  // namespace mrl::collection
