// Work on a whole collection that goes on after its call: its fields, its segments, and making one
// of a snapshot. The work itself, and the checks of the calls that start it.
#pragma once

#include "google/longrunning/operations.pb.h"
#include "mrl/v1/collection.pb.h"
#include "mrl/v1/snapshot.pb.h"
#include "server/operations/operations.h"
#include "server/registry.h"
#include "server/security/gate.h"

namespace mrl::server {

// The registry outlives what runs.
Operations::Runner MakeUpdater(const Registry& registry);
Operations::Runner MakeCompactor(const Registry& registry);
Operations::Runner MakeRestorer(Registry& registry);

absl::Status StartUpdate(const Registry& registry, Operations& operations,
                         const v1::UpdateCollectionRequest& request,
                         google::longrunning::Operation* response);
absl::Status StartCompaction(const Registry& registry, Operations& operations,
                             const v1::CompactCollectionRequest& request,
                             google::longrunning::Operation* response);
absl::Status StartRestore(const Registry& registry, Operations& operations, const Caller& caller,
                          const v1::RestoreSnapshotRequest& request,
                          google::longrunning::Operation* response);

}  // namespace mrl::server
