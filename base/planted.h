// Ten bugs that a test can switch on, one at a time, to show that the tests would see them. In
// every other build Planted is false when it is compiled, and nothing of it is left.
#pragma once

namespace mrl {

enum class Bug : int {
  kNone = 0,
  kLogNotSynced = 1,         // a SYNC write is acknowledged without a sync
  kTombstoneDropped = 2,     // the deletion of a segment's row is not written
  kIdKept = 3,               // a deleted id stays in the id map
  kSequenceOffByOne = 4,     // the highest sequence is stored one too low
  kDeletionLostInMerge = 5,  // what was deleted while a segment was built comes back
  kEpochKept = 6,            // a sealed epoch's rows stay in the tail
  kManifestNotSynced = 7,    // a new manifest is not on the disk when its files replace others
  kFilesRemovedFirst = 8,    // merged files are removed before the commit that replaces them
  kRenameBeforeSync = 9,     // a file gets its name before its bytes are on the disk
  kOldRowFound = 10,         // the row that a write replaces stays visible
};

#ifdef MRL_PLANTED_BUGS
// The one that the environment's MRL_PLANTED_BUG names by its number.
Bug PlantedBug();
inline bool Planted(Bug bug) { return PlantedBug() == bug; }
#else
constexpr bool Planted(Bug) { return false; }
#endif

}  // namespace mrl
