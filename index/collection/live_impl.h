// What a LiveCollection holds. Writing is in live_collection.cc, sealing and merging in
// live_maintain.cc.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "index/collection/compaction.h"
#include "index/collection/live_collection.h"
#include "index/collection/loader.h"
#include "index/collection/log_sync.h"
#include "index/collection/merge_policy.h"
#include "index/collection/part_list.h"
#include "index/collection/prepare.h"
#include "index/collection/segment_build.h"

namespace mrl::collection {

// Locks are taken in the order in which they stand here. The parts change under write_mutex_ and
// state_mutex_ together, so either is enough to look at them.
class LiveCollection::Impl {
 public:
  Impl(FileSystem& files, std::string path, MemoryAccount& account, const LiveOptions& options,
       std::unique_ptr<Database> database, Loaded loaded);

  absl::Status RemoveUnnamedFiles();
  const std::vector<std::string>& removed_files() const { return removed_files_; }

  absl::StatusOr<WriteResult> Upsert(std::vector<PointWrite> points, Durability durability);
  absl::StatusOr<WriteResult> Delete(absl::Span<const PointId> ids, Durability durability);
  absl::StatusOr<WriteResult> DeleteMatching(const filter::Filter& filter, Durability durability);
  absl::StatusOr<WriteResult> UpdatePayloads(std::vector<PayloadWrite> payloads,
                                             Durability durability);
  absl::Status Sync();
  bool needs_sync() const { return log_sync_.behind(); }

  // The version that searches get, or null where it has to be made: `*manifest` and the rest then
  // say from what.
  struct Version {
    std::shared_ptr<const Manifest> manifest;
    funnel::View view;
    uint64_t sequence = 0;
  };
  std::shared_ptr<const Collection> Read();
  uint64_t sequence() const;
  uint64_t tail_rows() const;
  CompactionStats compactions() const { return compactions_.stats(); }

  absl::Status Maintain();
  absl::Status Seal();
  absl::StatusOr<uint64_t> Compact(const Watch& watch);
  absl::Status SetFields(const std::vector<Field>& fields, const Watch& watch);
  absl::Status AddIndex(const coarse::IndexSpec& spec, const AddOptions& options);
  absl::Status UseIndex(const std::string& kind);
  absl::Status DropIndex(const std::string& kind);
  std::vector<coarse::IndexSpec> indexes() const;
  absl::Status EditProfiles(const ProfileEdit& edit);
  absl::StatusOr<Snapshot> MakeSnapshot(const std::string& folder);
  absl::Status Close();

  FileSystem& files_;
  const std::string path_;
  std::function<std::shared_ptr<const Collection>(Version)> make_version_;

 private:
  // One write: rows to put and ids to delete, each id once.
  struct Change {
    std::vector<PreparedPoint> points;
    std::vector<PointId> deleted;
  };
  using Places = std::vector<PartList::Place>;

  // Before a write takes the lock: the disk keeps its reserve, and a tail that grows faster than it
  // is sealed is sealed by those who fill it.
  absl::Status AwaitRoom();
  absl::Status CheckWritable() ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  absl::Status CheckConditions(const std::vector<PreparedPoint>& points)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  // The batch of a change, with its sequences given out; `*places` are the rows that go.
  Batch MakeBatch(Change& change, Places* places) ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  absl::StatusOr<WriteResult> CommitChange(Change change)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  void ApplyChange(Change& change, const Places& places)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  absl::StatusOr<std::vector<PreparedPoint>> RewritePayloads(std::vector<PayloadWrite> payloads)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  // Reads the fields of points again where they have changed since the points were prepared.
  absl::Status Refresh(const Schema& prepared_for, std::vector<PreparedPoint>& points) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  std::shared_ptr<const Schema> schema() const;
  // After the lock: makes the write durable and calls for maintenance.
  absl::StatusOr<WriteResult> EndWrite(absl::StatusOr<WriteResult> result, uint64_t commit,
                                       Durability durability);
  // Records that a commit failed; returns its error.
  absl::Status Fail(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);

  bool HasFullEpoch() const;
  absl::Status SealFullEpochs() ABSL_EXCLUSIVE_LOCKS_REQUIRED(seal_mutex_);
  absl::Status SealEpoch(uint32_t epoch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(seal_mutex_);
  // False when there was nothing to merge.
  absl::StatusOr<bool> MergeOnce() ABSL_EXCLUSIVE_LOCKS_REQUIRED(merge_mutex_);
  // Puts one segment in the place of adjacent ones; false where the disk has no room for it.
  absl::StatusOr<bool> Merge(const std::vector<uint32_t>& segments, const Watch& watch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(merge_mutex_);
  std::vector<SegmentSize> SegmentSizes() const;
  absl::StatusOr<uint32_t> TakeSegmentNumber();
  // What a build replaces.
  struct Replacement {
    std::vector<BuildInput> inputs;
    std::vector<uint32_t> segments;  // a merge
    std::optional<uint32_t> epoch;   // a seal
    std::optional<BuiltSegment> built;
    std::unique_ptr<LivePart> opened;  // null when nothing was built
    std::vector<Manifest::SideFile> side_files;
    uint64_t rows() const { return built.has_value() ? built->info.rows : 0; }
  };
  absl::Status Build(Replacement& replacement, const Watch& watch);
  absl::Status CommitReplacement(Replacement& replacement);
  Manifest NextManifest(const Replacement& replacement) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  // A side file of one segment, built and opened, that no manifest names yet.
  struct BuiltIndex {
    Manifest::SideFile file;
    std::shared_ptr<const coarse::CoarseIndex> index;
    std::shared_ptr<const coarse::CoarseIndex> on_gpu;  // null where devices add nothing to it
  };
  absl::StatusOr<BuiltIndex> BuildOne(std::shared_ptr<const store::Segment> segment,
                                      const coarse::IndexSpec& spec,
                                      const coarse::BuildContext& context);
  // The segments that are not in `built`, whose elements name their file, and the rows of all and
  // of those that are. The parts stay for as long as merging waits.
  struct Missing {
    std::vector<LivePart*> parts;
    uint64_t rows = 0;
    uint64_t done = 0;
  };
  template <typename Built>
  Missing FindMissing(const std::vector<Built>& built) const {
    Missing missing;
    absl::MutexLock lock(&state_mutex_);
    for (const auto& part : parts_.parts()) {
      if (part->is_tail()) continue;
      missing.rows += part->rows();
      if (std::any_of(built.begin(), built.end(),
                      [&](const Built& one) { return one.file.segment == part->number(); })) {
        missing.done += part->rows();
      } else {
        missing.parts.push_back(part.get());
      }
    }
    return missing;
  }
  // Dimensions for a spec that leaves them out, by the largest sealed segment.
  absl::StatusOr<uint32_t> ChooseDims(const coarse::IndexSpec& spec, const AddOptions& options);
  // Builds for the segments that are not in `built`.
  absl::Status BuildMissing(const coarse::IndexSpec& spec, const AddOptions& options,
                            std::vector<BuiltIndex>& built);
  // Commits a manifest that differs in its indexes, and puts what was built into the parts.
  absl::Status CommitIndexes(const std::function<absl::Status(Manifest&)>& edit,
                             std::vector<BuiltIndex> built)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(merge_mutex_, seal_mutex_);
  // The indexed fields of one segment under new ones, in a file that no manifest names yet.
  struct BuiltFields {
    Manifest::SideFile file;
    std::shared_ptr<const filter::FieldIndex> fields;
  };
  absl::StatusOr<BuiltFields> BuildFields(LivePart& part, const Schema& schema,
                                          const std::string& kind, const Watch& watch);
  // For the segments that are not in `built`.
  absl::Status BuildMissingFields(const Schema& schema, const std::string& kind, const Watch& watch,
                                  std::vector<BuiltFields>& built);
  absl::Status CommitFields(const Schema& schema, const std::vector<BuiltFields>& built)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(merge_mutex_, seal_mutex_);
  void RemoveSegmentFiles(const Manifest& manifest, const std::vector<uint32_t>& segments);
  // Once there is space again: what was committed must be what is in memory.
  absl::Status Resume() ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);

  MemoryAccount& account_;
  const LiveOptions options_;
  std::shared_ptr<const Schema> schema_;  // only its fields change; as the parts
  const uint32_t seal_rows_;
  std::vector<std::string> removed_files_;

  absl::Mutex merge_mutex_;
  absl::Mutex seal_mutex_;
  mutable absl::Mutex write_mutex_;  // one commit at a time, in the order of the log
  std::unique_ptr<Database> database_;
  absl::Status failed_ ABSL_GUARDED_BY(write_mutex_);  // of the commit that stopped writing
  bool closed_ ABSL_GUARDED_BY(write_mutex_) = false;
  uint64_t next_sequence_ ABSL_GUARDED_BY(write_mutex_);
  uint32_t next_segment_ ABSL_GUARDED_BY(write_mutex_);
  // Segments whose commit failed: their files stay until it is known that no manifest names them.
  std::vector<uint32_t> doubtful_segments_ ABSL_GUARDED_BY(write_mutex_);
  LogSync log_sync_;
  Compactions compactions_;

  mutable absl::Mutex state_mutex_;
  PartList parts_;
  std::shared_ptr<const Manifest> manifest_;
  uint32_t epoch_;     // that rows are appended to
  uint64_t sequence_;  // of the newest row that a search finds
  std::shared_ptr<const Collection> version_ ABSL_GUARDED_BY(state_mutex_);  // null = outdated
};

}  // namespace mrl::collection
