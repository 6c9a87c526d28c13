// Coarse indexes of a collection that takes writes: built beside what is there, and put in by one
// commit.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "index/coarse/faiss_dims.h"
#include "index/collection/layout.h"
#include "index/collection/live_impl.h"

namespace mrl::collection {
namespace {

bool HasKind(const Manifest& manifest, const std::string& kind) {
  const std::vector<std::string> kinds = manifest.kinds();
  return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

absl::Status ExpectKind(const Manifest& manifest, const std::string& kind) {
  if (HasKind(manifest, kind)) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat("no index of the kind `", kind, "` is built, these are: ",
                                          absl::StrJoin(manifest.kinds(), ", ")));
}

}  // namespace

absl::StatusOr<LiveCollection::Impl::BuiltIndex> LiveCollection::Impl::BuildOne(
    std::shared_ptr<const store::Segment> segment, const coarse::IndexSpec& spec,
    const coarse::BuildContext& context) {
  const uint32_t number = segment->info().number;
  const std::string path = SideFilePath(path_, number, spec.kind);
  coarse::BuildContext here = context;
  here.gpu = options_.open.gpu;
  MRL_RETURN_IF_ERROR(coarse::BuildIndex(files_, path, *segment, spec, here));
  const auto open = [&]() -> absl::StatusOr<BuiltIndex> {
    MRL_ASSIGN_OR_RETURN(const auto file, files_.Open(path));
    MRL_ASSIGN_OR_RETURN(std::shared_ptr<const coarse::CoarseIndex> index,
                         coarse::OpenIndex(files_, path, spec.kind, segment, account_));
    MRL_ASSIGN_OR_RETURN(auto on_gpu, CopyToGpu(options_.open.gpu, index));
    return BuiltIndex{{number, spec.kind, file->size()}, std::move(index), std::move(on_gpu)};
  };
  absl::StatusOr<BuiltIndex> opened = open();
  if (!opened.ok()) files_.Remove(path).IgnoreError();  // unnamed: swept at the next open
  return opened;
}

absl::Status LiveCollection::Impl::BuildMissing(const coarse::IndexSpec& spec,
                                                const AddOptions& options,
                                                std::vector<BuiltIndex>& built) {
  const Missing missing = FindMissing(built);
  uint64_t done = missing.done;
  const coarse::BuildContext context = {.threads = options.threads, .stopped = options.stopped};
  for (LivePart* part : missing.parts) {
    if (options.progress) options.progress(done, missing.rows);
    std::shared_ptr<const store::Segment> segment;
    {
      absl::MutexLock lock(&state_mutex_);
      segment = part->segment();
    }
    MRL_ASSIGN_OR_RETURN(BuiltIndex index, BuildOne(std::move(segment), spec, context));
    built.push_back(std::move(index));
    done += part->rows();
  }
  if (options.progress) options.progress(done, missing.rows);
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> LiveCollection::Impl::ChooseDims(const coarse::IndexSpec& spec,
                                                          const AddOptions& options) {
  std::shared_ptr<const store::Segment> largest;
  {
    absl::MutexLock lock(&state_mutex_);
    for (const auto& part : parts_.parts()) {
      if (part->is_tail()) continue;
      if (largest == nullptr || part->rows() > largest->rows()) largest = part->segment();
    }
  }
  if (largest == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("faiss: dims are left out, and there are no sealed rows yet to measure ",
                     spec.factory, " with; give a step of the ladder"));
  }
  return coarse::ChooseFaissDims(*largest, spec.factory,
                                 {.threads = options.threads, .stopped = options.stopped});
}

absl::Status LiveCollection::Impl::CommitIndexes(const std::function<absl::Status(Manifest&)>& edit,
                                                 std::vector<BuiltIndex> built) {
  absl::MutexLock lock(&write_mutex_);
  MRL_RETURN_IF_ERROR(CheckWritable());
  Manifest next = *manifest_;
  MRL_RETURN_IF_ERROR(edit(next));
  ++next.generation;
  for (const BuiltIndex& index : built) next.side_files.push_back(index.file);
  Batch batch = database_->NewBatch();
  batch.PutManifest(next.Serialize());
  const absl::Status committed = database_->Commit(batch, /*sync=*/true);
  if (!committed.ok()) return Fail(committed);
  absl::MutexLock state_lock(&state_mutex_);
  parts_.SetKinds(KindsOf(next, options_.open.gpu));
  for (BuiltIndex& index : built) {
    LivePart* part = parts_.FindSegment(index.file.segment);
    if (index.on_gpu != nullptr) part->AddIndex(std::move(index.on_gpu));
    part->AddIndex(std::move(index.index));
  }
  manifest_ = std::make_shared<const Manifest>(std::move(next));
  version_ = nullptr;
  return absl::OkStatus();
}

absl::Status LiveCollection::Impl::AddIndex(const coarse::IndexSpec& asked,
                                            const AddOptions& options) {
  coarse::IndexSpec spec = coarse::WithDefaults(asked, *schema());
  MRL_RETURN_IF_ERROR(spec.ValidateAsked(*schema()));
  absl::MutexLock merge_lock(&merge_mutex_);
  {
    absl::MutexLock lock(&state_mutex_);
    if (HasKind(*manifest_, spec.kind)) {
      return absl::AlreadyExistsError(
          absl::StrCat("there is an index of the kind ", spec.kind, "; drop it first"));
    }
  }
  if (spec.leaves_dims()) {
    MRL_ASSIGN_OR_RETURN(spec.dims, ChooseDims(spec, options));
  }
  std::vector<BuiltIndex> built;
  const auto build = [&]() -> absl::Status {
    // Most of it while the tail goes on being sealed; what came meanwhile with sealing stopped.
    MRL_RETURN_IF_ERROR(BuildMissing(spec, options, built));
    absl::MutexLock seal_lock(&seal_mutex_);
    MRL_RETURN_IF_ERROR(BuildMissing(spec, options, built));
    return CommitIndexes(
        [&](Manifest& manifest) {
          manifest.indexes.push_back(spec);
          if (options.activate) manifest.active_kind = spec.kind;
          return absl::OkStatus();
        },
        built);
  };
  absl::Status added = build();
  if (added.ok()) return added;
  absl::MutexLock lock(&write_mutex_);
  if (!failed_.ok()) return added;  // the commit may have been made: files stay until it is known
  for (const BuiltIndex& index : built) {
    files_.Remove(SideFilePath(path_, index.file.segment, index.file.kind)).IgnoreError();
  }
  return added;
}

absl::Status LiveCollection::Impl::UseIndex(const std::string& kind) {
  absl::MutexLock merge_lock(&merge_mutex_);
  absl::MutexLock seal_lock(&seal_mutex_);
  return CommitIndexes(
      [&](Manifest& manifest) -> absl::Status {
        MRL_RETURN_IF_ERROR(ExpectKind(manifest, kind));
        manifest.active_kind = kind;
        return absl::OkStatus();
      },
      {});
}

absl::Status LiveCollection::Impl::DropIndex(const std::string& kind) {
  absl::MutexLock merge_lock(&merge_mutex_);
  absl::MutexLock seal_lock(&seal_mutex_);
  std::vector<Manifest::SideFile> dropped;
  absl::Status committed = CommitIndexes(
      [&](Manifest& manifest) -> absl::Status {
        MRL_RETURN_IF_ERROR(ExpectKind(manifest, kind));
        if (kind == "scan") {
          return absl::FailedPreconditionError(
              "the kind scan stays: stages on codes and new rows need it");
        }
        if (kind == manifest.active_kind) {
          return absl::FailedPreconditionError(
              absl::StrCat("the kind ", kind, " is active; use another one first"));
        }
        std::copy_if(manifest.side_files.begin(), manifest.side_files.end(),
                     std::back_inserter(dropped),
                     [&](const Manifest::SideFile& file) { return file.kind == kind; });
        std::erase_if(manifest.side_files, [&](const auto& file) { return file.kind == kind; });
        std::erase_if(manifest.indexes, [&](const auto& spec) { return spec.kind == kind; });
        return absl::OkStatus();
      },
      {});
  if (!committed.ok()) return committed;
  for (const Manifest::SideFile& file : dropped) {
    files_.Remove(SideFilePath(path_, file.segment, kind)).IgnoreError();  // swept otherwise
  }
  return committed;
}

std::vector<coarse::IndexSpec> LiveCollection::Impl::indexes() const {
  absl::MutexLock lock(&state_mutex_);
  return manifest_->indexes;
}

}  // namespace mrl::collection
