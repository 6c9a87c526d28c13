#include "index/collection/collection.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/collection/database.h"
#include "index/collection/layout.h"
#include "index/collection/manifest_reader.h"

namespace mrl::collection {

class Collection::Impl {
 public:
  Impl(std::string path, Manifest manifest)
      : path_(std::move(path)), manifest_(std::move(manifest)) {}

  absl::Status Open(FileSystem& files, MemoryAccount& account);
  absl::Status ListFiles(FileSystem& files);

  const std::string path_;
  const Manifest manifest_;
  funnel::View view_;
  std::vector<File> files_;

 private:
  absl::Status OpenPart(FileSystem& files, const store::SegmentInfo& info, MemoryAccount& account);
};

absl::Status Collection::Impl::Open(FileSystem& files, MemoryAccount& account) {
  view_.schema = manifest_.schema;
  for (const store::SegmentInfo& info : manifest_.segments) {
    MRL_RETURN_IF_ERROR(OpenPart(files, info, account));
  }
  return ListFiles(files);
}

absl::Status Collection::Impl::OpenPart(FileSystem& files, const store::SegmentInfo& info,
                                        MemoryAccount& account) {
  funnel::View::Part part;
  MRL_ASSIGN_OR_RETURN(part.segment, store::Segment::Open(files, SegmentPath(path_, info.number),
                                                          info, manifest_.schema, account));
  for (const Manifest::SideFile& file : manifest_.side_files) {
    if (file.segment != info.number) continue;
    const std::string path = SideFilePath(path_, info.number, file.kind);
    auto index = file.kind == "faiss" ? coarse::OpenFaiss(files, path, part.segment, account)
                                      : coarse::OpenScan(files, path, part.segment, account);
    MRL_RETURN_IF_ERROR(index.status());
    const bool active = file.kind == manifest_.active_kind;
    part.indexes.insert(active ? part.indexes.begin() : part.indexes.end(), *std::move(index));
  }
  if (part.indexes.empty()) {
    return absl::DataLossError(
        absl::StrCat(path_, ": manifest: segment ", info.number, " has no coarse index"));
  }
  view_.parts.push_back(std::move(part));
  return absl::OkStatus();
}

absl::Status Collection::Impl::ListFiles(FileSystem& files) {
  for (const store::SegmentInfo& info : manifest_.segments) {
    files_.push_back(
        {absl::StrCat("segments/", format::SegmentFileName(info.number)), info.file_bytes});
  }
  for (const Manifest::SideFile& file : manifest_.side_files) {
    files_.push_back({absl::StrCat("segments/", format::SideFileName(file.segment, file.kind)),
                      file.file_bytes});
  }
  MRL_ASSIGN_OR_RETURN(const std::vector<std::string> names, files.List(DatabasePath(path_)));
  for (const std::string& name : names) {
    MRL_ASSIGN_OR_RETURN(const auto file, files.Open(JoinPath(DatabasePath(path_), name)));
    files_.push_back({absl::StrCat("db/", name), file->size()});
  }
  return absl::OkStatus();
}

Collection::Collection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Collection::~Collection() = default;

absl::StatusOr<std::shared_ptr<const Collection>> Collection::Open(FileSystem& files,
                                                                   const std::string& path,
                                                                   MemoryAccount& account) {
  MRL_ASSIGN_OR_RETURN(Manifest manifest, ReadManifest(files, path));
  auto impl = std::make_unique<Impl>(path, std::move(manifest));
  MRL_RETURN_IF_ERROR(impl->Open(files, account));
  return std::shared_ptr<const Collection>(new Collection(std::move(impl)));
}

const std::string& Collection::uuid() const { return impl_->manifest_.uuid; }
uint64_t Collection::generation() const { return impl_->manifest_.generation; }
int64_t Collection::created_unix_s() const { return impl_->manifest_.created_unix_s; }
const funnel::View& Collection::view() const { return impl_->view_; }
std::vector<Collection::File> Collection::files() const { return impl_->files_; }

std::vector<std::string> Collection::kinds() const {
  std::vector<std::string> kinds;
  if (view().parts.empty()) return kinds;
  for (const auto& index : view().parts.front().indexes) kinds.emplace_back(index->kind());
  return kinds;
}

funnel::PlanInput Collection::plan_input() const {
  funnel::PlanInput input;
  input.schema = &view().schema;
  input.kinds = kinds();
  input.query_dims = view().schema.dim;
  if (!view().parts.empty()) input.default_dims = view().parts.front().indexes.front()->dims();
  return input;
}

uint64_t Collection::hot_bytes() const {
  uint64_t bytes = 0;
  for (const funnel::View::Part& part : view().parts) {
    const store::Segment::Memory memory = part.segment->memory();
    bytes += memory.norms + memory.ids + memory.other;
    for (const auto& index : part.indexes) bytes += index->memory_bytes();
  }
  return bytes;
}

uint64_t Collection::memory_bytes() const {
  uint64_t bytes = hot_bytes();
  for (const funnel::View::Part& part : view().parts) bytes += part.segment->memory().levels;
  return bytes;
}

}  // namespace mrl::collection
