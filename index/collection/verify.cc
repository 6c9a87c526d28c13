#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/collection/check_pages.h"
#include "index/collection/collection.h"
#include "index/collection/database.h"
#include "index/collection/layout.h"
#include "index/collection/manifest_reader.h"
#include "index/format/section_file.h"

namespace mrl::collection {
namespace {

using Progress = std::function<void(absl::string_view, uint64_t, uint64_t)>;

// One file after the other, counting bytes over all of them.
class FileChecker {
 public:
  FileChecker(FileSystem& files, const Progress& progress, uint64_t total_bytes)
      : files_(files), progress_(progress), total_bytes_(total_bytes) {}

  absl::Status Check(const std::string& path, format::FileKind kind, uint64_t file_bytes) {
    MRL_ASSIGN_OR_RETURN(const auto file, format::SectionFileReader::Open(files_, path, kind));
    if (file->file_bytes() != file_bytes) {
      return absl::DataLossError(absl::StrCat(path, ": the file has ", file->file_bytes(),
                                              " bytes; ", file_bytes, " are in the manifest"));
    }
    return file->VerifyAll([&](absl::string_view section, uint64_t bytes) {
      done_bytes_ += bytes;
      if (progress_) progress_(absl::StrCat(path, ": ", section), done_bytes_, total_bytes_);
    });
  }

 private:
  FileSystem& files_;
  const Progress& progress_;
  const uint64_t total_bytes_;
  uint64_t done_bytes_ = 0;
};

// The id map must name every live row once, with the sequence that the row has.
class IdMapChecker {
 public:
  explicit IdMapChecker(const funnel::View& view) : view_(view) {}

  absl::Status Visit(const PointId& id, uint64_t sequence) {
    ++count_;
    const std::optional<funnel::Location> at = funnel::Find(view_, id);
    if (at && view_.parts[at->part].segment->Sequence(at->row) == sequence) {
      return absl::OkStatus();
    }
    return absl::DataLossError(absl::StrCat("id map: '", id.ToString(), "' has sequence ", sequence,
                                            ", where another row or none is"));
  }
  uint64_t count() const { return count_; }

 private:
  const funnel::View& view_;
  uint64_t count_ = 0;
};

absl::Status CheckIdMap(FileSystem& files, const std::string& path, const Database& database) {
  MemoryAccount account(MemoryAccount::DefaultLimitBytes());
  // Nobody reads the levels: most of them need not be loaded.
  MRL_ASSIGN_OR_RETURN(const auto collection,
                       Collection::Open(files, path, account, {.hot_dims = 1}));
  IdMapChecker checker(collection->view());
  MRL_RETURN_IF_ERROR(database.ForEachId(
      [&](const PointId& id, uint64_t sequence) { return checker.Visit(id, sequence); }));
  if (checker.count() == collection->rows()) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("id map: it has ", checker.count(), " ids; there are ",
                                          collection->rows(), " rows"));
}

}  // namespace

absl::Status CheckPages(FileSystem& files, const std::string& path, const Progress& progress) {
  MRL_ASSIGN_OR_RETURN(const Manifest manifest, ReadManifest(files, path));
  uint64_t total_bytes = 0;
  for (const store::SegmentInfo& info : manifest.segments) total_bytes += info.file_bytes;
  for (const Manifest::SideFile& file : manifest.side_files) total_bytes += file.file_bytes;
  FileChecker checker(files, progress, total_bytes);
  for (const store::SegmentInfo& info : manifest.segments) {
    MRL_RETURN_IF_ERROR(
        checker.Check(SegmentPath(path, info.number), format::FileKind::kSegment, info.file_bytes));
  }
  for (const Manifest::SideFile& file : manifest.side_files) {
    const auto kind =
        IsFilterKind(file.kind) ? format::FileKind::kFilter : *coarse::FileKindOf(file.kind);
    MRL_RETURN_IF_ERROR(
        checker.Check(SideFilePath(path, file.segment, file.kind), kind, file.file_bytes));
  }
  return absl::OkStatus();
}

absl::Status Verify(FileSystem& files, const std::string& path, const Progress& progress) {
  MRL_RETURN_IF_ERROR(CheckPages(files, path, progress));
  MRL_ASSIGN_OR_RETURN(const auto database, Database::OpenReadOnly(DatabasePath(path)));
  MRL_RETURN_IF_ERROR(Annotate(database->VerifyChecksums(), path));
  return Annotate(CheckIdMap(files, path, *database), path);
}

}  // namespace mrl::collection
