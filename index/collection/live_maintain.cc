// Sealing and merging: a new segment is written beside the others, and one commit puts it in their
// place.
#include <algorithm>
#include <set>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/planted.h"
#include "base/status.h"
#include "index/collection/layout.h"
#include "index/collection/live_impl.h"
#include "index/format/section_file.h"

namespace mrl::collection {

absl::StatusOr<uint32_t> LiveCollection::Impl::TakeSegmentNumber() {
  absl::MutexLock lock(&write_mutex_);
  MRL_RETURN_IF_ERROR(CheckWritable());
  return next_segment_++;
}

absl::Status LiveCollection::Impl::Build(Replacement& replacement, const Watch& watch) {
  MRL_ASSIGN_OR_RETURN(const uint32_t number, TakeSegmentNumber());
  MRL_ASSIGN_OR_RETURN(replacement.built,
                       BuildSegment(files_, path_, *schema(), number, replacement.inputs, watch));
  if (!replacement.built.has_value()) return absl::OkStatus();
  Manifest alone;
  {
    absl::MutexLock lock(&state_mutex_);
    alone = *manifest_;
  }
  alone.side_files = replacement.built->side_files;
  const auto open = [&]() -> absl::Status {
    MRL_ASSIGN_OR_RETURN(
        replacement.opened,
        OpenSegment(files_, path_, alone, replacement.built->info, account_, options_.open));
    for (const coarse::IndexSpec& spec : alone.indexes) {
      alone.side_files.push_back({number, spec.kind});
      MRL_ASSIGN_OR_RETURN(BuiltIndex built, BuildOne(replacement.opened->segment(), spec,
                                                      {.stopped = watch.stopped}));
      alone.side_files.back() = std::move(built.file);
      if (built.on_gpu != nullptr) replacement.opened->AddIndex(std::move(built.on_gpu));
      replacement.opened->AddIndex(std::move(built.index));
    }
    return absl::OkStatus();
  };
  absl::Status opened = open();
  if (!opened.ok()) RemoveSegmentFiles(alone, {number});
  replacement.side_files = std::move(alone.side_files);
  return opened;
}

Manifest LiveCollection::Impl::NextManifest(const Replacement& replacement) const {
  Manifest next = *manifest_;
  ++next.generation;
  next.next_segment = next_segment_;
  const std::set<uint32_t> gone(replacement.segments.begin(), replacement.segments.end());
  const auto at = std::find_if(next.segments.begin(), next.segments.end(),
                               [&](const auto& info) { return gone.count(info.number) > 0; });
  const ptrdiff_t place = at - next.segments.begin();
  std::erase_if(next.segments, [&](const auto& info) { return gone.count(info.number) > 0; });
  std::erase_if(next.side_files, [&](const auto& file) { return gone.count(file.segment) > 0; });
  if (replacement.epoch.has_value()) next.tail_epoch = *replacement.epoch + 1;
  if (replacement.built.has_value()) {
    const store::SegmentInfo& info = replacement.built->info;
    next.segments.insert(next.segments.begin() + place, info);
    next.side_files.insert(next.side_files.end(), replacement.side_files.begin(),
                           replacement.side_files.end());
  }
  return next;
}

absl::Status LiveCollection::Impl::CommitReplacement(Replacement& replacement) {
  absl::MutexLock lock(&write_mutex_);
  MRL_RETURN_IF_ERROR(CheckWritable());
  auto next = std::make_shared<const Manifest>(NextManifest(replacement));
  Batch batch = database_->NewBatch();
  batch.PutManifest(next->Serialize());
  for (const uint32_t segment : replacement.segments) batch.DropDeletions(segment);
  if (replacement.epoch.has_value() && !Planted(Bug::kEpochKept)) {
    batch.DropEpochsBefore(next->tail_epoch);
  }
  // Rows that were removed while the segment was built are in it: they are removed here.
  std::vector<uint32_t> removed;
  if (replacement.opened != nullptr) {
    ForEachBuiltRow(replacement.inputs, [&](const BuildInput& input, uint32_t row, uint32_t to) {
      if (input.part->IsLive(row) || Planted(Bug::kDeletionLostInMerge)) return;
      batch.PutDeletion(replacement.opened->number(), to, next_sequence_ - 1);
      removed.push_back(to);
    });
  }
  const absl::Status committed =
      database_->Commit(batch, /*sync=*/!Planted(Bug::kManifestNotSynced));
  if (!committed.ok()) {
    if (replacement.built.has_value()) {
      doubtful_segments_.push_back(replacement.built->info.number);
    }
    return Fail(committed);
  }
  absl::MutexLock state_lock(&state_mutex_);
  for (const uint32_t row : removed) replacement.opened->Remove(row);
  if (replacement.epoch.has_value()) {
    parts_.DropEpoch(*replacement.epoch);
    if (replacement.opened != nullptr) parts_.AddSegment(std::move(replacement.opened));
  } else {
    parts_.ReplaceSegments(replacement.segments, std::move(replacement.opened));
  }
  manifest_ = std::move(next);
  version_ = nullptr;
  return absl::OkStatus();
}

void LiveCollection::Impl::RemoveSegmentFiles(const Manifest& manifest,
                                              const std::vector<uint32_t>& segments) {
  // A file that stays is unnamed and swept at the next open. Views that run keep theirs open.
  const std::set<uint32_t> gone(segments.begin(), segments.end());
  for (const Manifest::SideFile& file : manifest.side_files) {
    if (gone.count(file.segment) == 0) continue;
    files_.Remove(SideFilePath(path_, file.segment, file.kind)).IgnoreError();
  }
  for (const uint32_t segment : segments) {
    files_.Remove(SegmentPath(path_, segment)).IgnoreError();
  }
}

bool LiveCollection::Impl::HasFullEpoch() const {
  absl::MutexLock lock(&state_mutex_);
  return std::any_of(parts_.parts().begin(), parts_.parts().end(),
                     [&](const auto& part) { return part->is_tail() && part->epoch() < epoch_; });
}

absl::Status LiveCollection::Impl::SealEpoch(uint32_t epoch) {
  Compactions::Run run(&compactions_);
  Replacement replacement;
  replacement.epoch = epoch;
  {
    absl::MutexLock lock(&state_mutex_);
    for (const auto& part : parts_.parts()) {
      if (!part->is_tail() || part->epoch() != epoch || part->rows() == 0) continue;
      replacement.inputs.push_back({part.get(), part->segment(), part->Live()});
    }
  }
  MRL_RETURN_IF_ERROR(Build(replacement, {}));
  MRL_RETURN_IF_ERROR(CommitReplacement(replacement));
  run.Sealed(replacement.rows());
  return database_->ReclaimEpochsBefore(epoch + 1);
}

absl::Status LiveCollection::Impl::SealFullEpochs() {
  while (true) {
    std::optional<uint32_t> oldest;
    {
      absl::MutexLock lock(&state_mutex_);
      for (const auto& part : parts_.parts()) {
        if (!part->is_tail() || part->epoch() >= epoch_) continue;
        oldest = std::min(oldest.value_or(part->epoch()), part->epoch());
      }
    }
    if (!oldest.has_value()) return absl::OkStatus();
    MRL_RETURN_IF_ERROR(SealEpoch(*oldest));
  }
}

absl::Status LiveCollection::Impl::Seal() {
  absl::MutexLock lock(&seal_mutex_);
  {
    absl::MutexLock write_lock(&write_mutex_);
    MRL_RETURN_IF_ERROR(CheckWritable());
    absl::MutexLock state_lock(&state_mutex_);
    if (parts_.EpochRows(epoch_) > 0) ++epoch_;
  }
  return SealFullEpochs();
}

std::vector<SegmentSize> LiveCollection::Impl::SegmentSizes() const {
  absl::MutexLock lock(&state_mutex_);
  std::vector<SegmentSize> sizes;
  for (const auto& part : parts_.parts()) {
    if (part->is_tail()) continue;
    const store::SegmentInfo& info = part->segment()->info();
    sizes.push_back({.number = info.number,
                     .rows = info.rows,
                     .live_rows = part->live_rows(),
                     .first_sequence = info.first_sequence,
                     .end_sequence = info.end_sequence()});
  }
  return sizes;
}

absl::StatusOr<bool> LiveCollection::Impl::MergeOnce() {
  const std::vector<uint32_t> chosen =
      ChooseMerge(SegmentSizes(), options_.merge_fan_in, options_.segment_rows_max);
  if (chosen.empty()) return false;
  return Merge(chosen, {});
}

absl::StatusOr<bool> LiveCollection::Impl::Merge(const std::vector<uint32_t>& segments,
                                                 const Watch& watch) {
  Replacement replacement;
  replacement.segments = segments;
  Compactions::Run run(&compactions_);
  std::shared_ptr<const Manifest> before;
  uint64_t bytes = 0;  // that the new segment takes, at most
  {
    absl::MutexLock lock(&state_mutex_);
    before = manifest_;
    for (const store::SegmentInfo& info : before->segments) {
      const auto& merged = replacement.segments;
      const bool is_merged = std::find(merged.begin(), merged.end(), info.number) != merged.end();
      bytes += is_merged ? info.file_bytes : 0;
    }
    for (const uint32_t number : replacement.segments) {
      LivePart* part = parts_.FindSegment(number);
      replacement.inputs.push_back({part, part->segment(), part->Live()});
    }
  }
  // Without room it waits for deletions or a larger disk.
  if (!options_.disk.Check(path_, bytes).ok()) return false;
  MRL_RETURN_IF_ERROR(Build(replacement, watch));
  if (Planted(Bug::kFilesRemovedFirst)) RemoveSegmentFiles(*before, replacement.segments);
  MRL_RETURN_IF_ERROR(CommitReplacement(replacement));
  run.Merged(replacement.rows());
  RemoveSegmentFiles(*before, replacement.segments);
  return true;
}

absl::StatusOr<uint64_t> LiveCollection::Impl::Compact(const Watch& watch) {
  MRL_RETURN_IF_ERROR(Seal());
  absl::MutexLock merge_lock(&merge_mutex_);
  const std::vector<SegmentSize> sizes = SegmentSizes();
  const auto groups = ChooseAll(sizes, options_.segment_rows_max);
  const auto rows_of = [&](const std::vector<uint32_t>& group) {
    uint64_t rows = 0;
    for (const SegmentSize& size : sizes) {
      rows += std::count(group.begin(), group.end(), size.number) > 0 ? size.live_rows : 0;
    }
    return rows;
  };
  uint64_t all = 0;
  for (const auto& group : groups) all += rows_of(group);
  uint64_t done = 0;
  for (const auto& group : groups) {
    const Watch here = {
        .progress = [&](uint64_t rows, uint64_t) { watch.Report(done + rows, all); },
        .stopped = watch.stopped};
    MRL_ASSIGN_OR_RETURN(const bool merged, Merge(group, here));
    if (!merged) {
      return absl::ResourceExhaustedError(
          absl::StrCat(path_, ": the disk has no room for a segment of ", rows_of(group), " rows"));
    }
    done += rows_of(group);
    watch.Report(done, all);
  }
  return done;
}

absl::StatusOr<Snapshot> LiveCollection::Impl::MakeSnapshot(const std::string& folder) {
  // Only merging removes files that a manifest named.
  absl::MutexLock merge_lock(&merge_mutex_);
  {
    absl::MutexLock lock(&write_mutex_);
    MRL_RETURN_IF_ERROR(CheckWritable());
  }
  if (files_.Exists(folder)) return absl::AlreadyExistsError(absl::StrCat(folder, " exists"));
  const std::string temporary = absl::StrCat(folder, ".tmp-", format::NewUuid().substr(0, 8));
  const auto make = [&]() -> absl::StatusOr<Snapshot> {
    MRL_RETURN_IF_ERROR(files_.CreateDirectory(temporary));
    MRL_RETURN_IF_ERROR(database_->Checkpoint(DatabasePath(temporary)));
    MRL_ASSIGN_OR_RETURN(Snapshot snapshot, ListSnapshot(files_, temporary, path_, options_.env));
    MRL_RETURN_IF_ERROR(files_.Rename(temporary, folder));
    MRL_RETURN_IF_ERROR(files_.SyncDirectory(ParentPath(folder)));
    return snapshot;
  };
  auto made = make();
  if (!made.ok()) files_.RemoveTree(temporary).IgnoreError();
  return made;
}

absl::Status LiveCollection::Impl::Maintain() {
  bool more = true;
  while (more) {
    {
      absl::MutexLock seal_lock(&seal_mutex_);
      MRL_RETURN_IF_ERROR(SealFullEpochs());
    }
    // What takes its time in there, such as the build of an index, is followed by another round.
    if (!merge_mutex_.TryLock()) return absl::OkStatus();
    const absl::StatusOr<bool> merged = MergeOnce();
    merge_mutex_.Unlock();
    MRL_RETURN_IF_ERROR(merged.status());
    more = *merged;
  }
  return absl::OkStatus();
}

}  // namespace mrl::collection
