// A collection that is written to while it is searched. Order of steps on disk:
// docs/formats/live.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/file.h"
#include "base/memory_account.h"
#include "index/collection/collection.h"
#include "index/collection/compaction.h"
#include "index/collection/disk_reserve.h"
#include "index/collection/snapshot.h"
#include "index/collection/watch.h"
#include "index/filter/filter.h"
#include "index/schema/point_id.h"
#include "index/schema/schema.h"

namespace rocksdb {
class Env;
}

namespace mrl::collection {

enum class Durability : uint8_t {
  kSync,   // on the disk when the call returns
  kAsync,  // in the log: a crash of the process loses nothing, a power cut what no Sync followed
};

// One point to be written.
struct PointWrite {
  enum class Condition : uint8_t {
    kNone,
    kIfAbsent,    // the id has no point
    kIfSequence,  // the id's point has `sequence`
  };
  PointId id;
  std::vector<float> vector;  // dim floats, as the user gave them
  std::string payload = {};   // a JSON object, or "" for none
  Condition condition = Condition::kNone;
  uint64_t sequence = 0;  // kIfSequence
};

// A new payload for a point that is there.
struct PayloadWrite {
  PointId id;
  std::string payload;
};

struct WriteResult {
  // Of the newest row that was written or deleted; where nothing was, of the write before. Rows of
  // one call have consecutive sequences in order of the request and end with this one.
  uint64_t sequence = 0;
  uint64_t rows = 0;  // written or deleted
};

struct LiveOptions {
  uint32_t seal_rows = 0;  // rows of the tail that make a segment; 0 = 64 MB of vectors
  uint32_t segment_rows_max = store::Segment::kRowsMax;  // merging makes none larger
  uint32_t merge_fan_in = 4;  // adjacent segments of like size that are merged; at least 2
  DiskReserve disk = {};
  // Called, from a writing thread and under no lock, when Maintain has something to do.
  std::function<void()> on_work = {};
  rocksdb::Env* env = nullptr;  // null = the system's; for tests that make it fail
  OpenOptions open = {};

  // INVALID_ARGUMENT names the value and the limit.
  absl::Status Validate() const;
};

// Thread-safe. A write is a whole or nothing, is found by every search that begins after the call
// returned, and has a sequence number. Errors of RocksDB or the disk stop writing until the
// collection is opened again (or, where the disk was full, until there is space): what failed may
// or may not be there afterwards. Reading goes on.
class LiveCollection {
 public:
  // Makes an empty collection at `path`, which must not exist, beside it and with a rename.
  static absl::Status Create(FileSystem& files, const std::string& path, const Schema& schema,
                             rocksdb::Env* env = nullptr);
  // Opens what Create or a CollectionBuilder made, recovers, and removes files that the manifest
  // does not name. FAILED_PRECONDITION while it is open for writing elsewhere. `files` and
  // `account` outlive it and every version that Read gave.
  static absl::StatusOr<std::unique_ptr<LiveCollection>> Open(FileSystem& files,
                                                              const std::string& path,
                                                              MemoryAccount& account,
                                                              const LiveOptions& options = {});
  // Closes; no call may run any more.
  ~LiveCollection();

  // Files that Open found, that no manifest names, and removed.
  const std::vector<std::string>& removed_files() const;

  // The newest version. Cheap: made once after a write, then shared.
  std::shared_ptr<const Collection> Read() const;
  uint64_t sequence() const;

  // The last entry for an id wins. INVALID_ARGUMENT names the point that cannot be stored;
  // ALREADY_EXISTS and ABORTED the one whose condition does not hold; RESOURCE_EXHAUSTED when
  // memory or disk do not suffice.
  absl::StatusOr<WriteResult> Upsert(std::vector<PointWrite> points, Durability durability);
  // Ids that have no point are passed over.
  absl::StatusOr<WriteResult> Delete(absl::Span<const PointId> ids, Durability durability);
  // Every point that matches, in one step. RESOURCE_EXHAUSTED when they are more than
  // kDeletedMax; ABORTED when the fields are no longer those of the filter.
  absl::StatusOr<WriteResult> DeleteMatching(const filter::Filter& filter, Durability durability);
  static constexpr uint64_t kDeletedMax = 1'000'000;
  // NOT_FOUND names an id that has no point. The vectors stay as they are, to the bit.
  absl::StatusOr<WriteResult> UpdatePayloads(std::vector<PayloadWrite> payloads,
                                             Durability durability);
  // Makes every write so far durable.
  absl::Status Sync();
  // Whether a write is in the log that no Sync followed.
  bool needs_sync() const;

  // Seals what is full and merges what has grown small or hollow, until nothing is left to do.
  // What merges already is not waited for. Searches and writes go on.
  absl::Status Maintain();
  // Turns the tail into a segment, however few rows it has.
  absl::Status Seal();
  // Seals the tail, and makes as few segments of all that is there as rows_max allows, without the
  // rows that were deleted. Returns the rows that it wrote. What was merged stays so when it is
  // stopped; RESOURCE_EXHAUSTED when the disk has no room.
  absl::StatusOr<uint64_t> Compact(const Watch& watch = {});
  // Replaces the fields that filters may name, while writes and searches go on; merging waits.
  // FAILED_PRECONDITION names a point whose payload does not fit; nothing has changed then.
  absl::Status SetFields(const std::vector<Field>& fields, const Watch& watch = {});
  // A snapshot of what is there now at `folder`, which must not exist, made beside it and with a
  // rename. Writes and searches go on; merging waits.
  absl::StatusOr<Snapshot> MakeSnapshot(const std::string& folder);
  // Rows that no segment holds yet.
  uint64_t tail_rows() const;
  CompactionStats compactions() const;

  struct AddOptions {
    bool activate = false;  // searches that name no kind use it from now on
    uint32_t threads = 1;
    // (rows done, rows in all), before the first segment and after each; may be empty.
    std::function<void(uint64_t, uint64_t)> progress = {};
    std::function<bool()> stopped = {};  // asked now and then, by any thread; may be empty
  };
  // Builds a coarse index beside `scan`, for the segments that are there and those to come; writes
  // and searches go on, merging waits. The tail is scanned. ALREADY_EXISTS when there is one of the
  // kind; CANCELLED when it was stopped: nothing has changed then. A spec may leave out what
  // WithDefaults and ChooseFaissDims fill in; FAILED_PRECONDITION where the latter has no segment.
  absl::Status AddIndex(const coarse::IndexSpec& spec, const AddOptions& options);
  // Makes a kind the active one. NOT_FOUND names those that are built.
  absl::Status UseIndex(const std::string& kind);
  // Removes a kind with its files. NOT_FOUND; FAILED_PRECONDITION for `scan` and for the active
  // kind.
  absl::Status DropIndex(const std::string& kind);
  // Those beside `scan`.
  std::vector<coarse::IndexSpec> indexes() const;

  // A change of the profiles, durable when it returns. An error of `edit` changes nothing and is
  // returned. Versions that Read gave keep theirs.
  absl::Status EditProfiles(const ProfileEdit& edit);

  // Syncs and closes; later writes are FAILED_PRECONDITION. Versions that Read gave stay good.
  absl::Status Close();

 private:
  class Impl;
  explicit LiveCollection(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace mrl::collection
