// Profiles as the manifest has them.
#pragma once

#include "absl/status/statusor.h"
#include "index/format/manifest.pb.h"
#include "index/funnel/profile.h"

namespace mrl::collection {

// DATA_LOSS for what ProfilesToDisk does not make.
absl::StatusOr<funnel::ProfileSet> ProfilesFromDisk(const disk::ProfileSet& message);
void ProfilesToDisk(const funnel::ProfileSet& set, disk::ProfileSet* out);

}  // namespace mrl::collection
