#include "index/collection/collection.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "index/collection/collection_impl.h"
#include "index/collection/layout.h"
#include "index/collection/loader.h"

namespace mrl::collection {

std::vector<Collection::File> Collection::Impl::ListFiles() const {
  std::vector<File> listed;
  for (const store::SegmentInfo& info : manifest_->segments) {
    listed.push_back(
        {absl::StrCat("segments/", format::SegmentFileName(info.number)), info.file_bytes});
  }
  for (const Manifest::SideFile& file : manifest_->side_files) {
    listed.push_back({absl::StrCat("segments/", format::SideFileName(file.segment, file.kind)),
                      file.file_bytes});
  }
  const auto names = files_.List(DatabasePath(path_));
  if (!names.ok()) return listed;
  for (const std::string& name : *names) {
    const auto file = files_.Open(JoinPath(DatabasePath(path_), name));
    if (file.ok()) listed.push_back({absl::StrCat("db/", name), (*file)->size()});
  }
  return listed;
}

Collection::Collection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Collection::~Collection() = default;

absl::StatusOr<std::shared_ptr<const Collection>> Collection::Open(FileSystem& files,
                                                                   const std::string& path,
                                                                   MemoryAccount& account,
                                                                   const OpenOptions& options) {
  MRL_RETURN_IF_ERROR(ExpectCollection(files, path));
  MRL_ASSIGN_OR_RETURN(const Loaded loaded, LoadReadOnly(files, path, account, options));
  auto impl = std::make_unique<Impl>(files, path, std::make_shared<const Manifest>(loaded.manifest),
                                     loaded.parts.Publish(), loaded.sequence);
  return std::shared_ptr<const Collection>(new Collection(std::move(impl)));
}

const std::string& Collection::uuid() const { return impl_->manifest_->uuid; }
uint64_t Collection::generation() const { return impl_->manifest_->generation; }
uint64_t Collection::sequence() const { return impl_->sequence_; }
int64_t Collection::created_unix_s() const { return impl_->manifest_->created_unix_s; }
const funnel::View& Collection::view() const { return impl_->view_; }
std::vector<Collection::File> Collection::files() const { return impl_->ListFiles(); }
std::vector<std::string> Collection::kinds() const { return view().kinds; }
const std::vector<coarse::IndexSpec>& Collection::indexes() const {
  return impl_->manifest_->indexes;
}
const funnel::ProfileSet& Collection::profiles() const { return impl_->manifest_->profiles; }

funnel::PlanInput Collection::plan_input() const { return plan_input(view().kinds.front()); }

funnel::PlanInput Collection::plan_input(const std::string& kind) const {
  funnel::PlanInput input;
  input.schema = &view().schema;
  input.kinds = kinds();
  const auto active = std::find(input.kinds.begin(), input.kinds.end(), kind);
  CHECK(active != input.kinds.end());
  std::rotate(input.kinds.begin(), active, active + 1);
  input.query_dims = view().schema.dim;
  for (const coarse::IndexSpec& index : impl_->manifest_->indexes) {
    if (index.code.bits != 0) input.kind_codes[index.kind] = index.code;
  }
  // What stands in for an index takes any prefix.
  for (const funnel::View::Part& part : view().parts) {
    for (const auto& index : part.indexes) {
      if (index->kind() == kind) input.default_dims = std::max(input.default_dims, index->dims());
    }
  }
  return input;
}

uint64_t Collection::hot_bytes() const {
  const Rotation& rotation = view().schema.rotation;
  uint64_t bytes = rotation.matrix == nullptr ? 0 : rotation.matrix->size() * sizeof(float);
  for (const funnel::View::Part& part : view().parts) {
    const store::Segment::Memory memory = part.segment->memory();
    bytes += memory.norms + memory.ids + memory.other;
    for (const auto& index : part.indexes) bytes += index->memory_bytes();
    if (part.fields != nullptr) bytes += part.fields->memory_bytes();
  }
  return bytes;
}

uint64_t Collection::memory_bytes() const {
  uint64_t bytes = hot_bytes();
  for (const funnel::View::Part& part : view().parts) bytes += part.segment->memory().levels;
  return bytes;
}

uint64_t Collection::level_memory_bytes(size_t level) const {
  uint64_t bytes = 0;
  for (const funnel::View::Part& part : view().parts) {
    const bool hot = level < part.segment->hot_levels();
    bytes +=
        part.segment->rows() * (hot ? schema().level_bytes(level) : ScaleBytes(schema().storage));
  }
  return bytes;
}

}  // namespace mrl::collection
