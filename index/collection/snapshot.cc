#include "index/collection/snapshot.h"

#include <rocksdb/env.h>

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/types/span.h"
#include "base/checksum.h"
#include "base/status.h"
#include "index/collection/database.h"
#include "index/collection/layout.h"
#include "index/collection/manifest_reader.h"
#include "index/collection/rocks_status.h"
#include "index/format/section_file.h"
#include "index/format/snapshot.pb.h"

namespace mrl::collection {
namespace {

constexpr char kListName[] = "SNAPSHOT";
constexpr uint32_t kVersion = 1;
constexpr size_t kChunkBytes = 1 << 20;
constexpr size_t kNameBytesMax = 64;

// The checksum of a file is that of the checksums of its pieces.
class RunningChecksum {
 public:
  void Add(absl::string_view bytes) {
    while (!bytes.empty()) {
      const size_t count = std::min(bytes.size(), kChunkBytes - piece_.size());
      piece_.append(bytes.data(), count);
      bytes.remove_prefix(count);
      if (piece_.size() == kChunkBytes) EndPiece();
    }
  }
  uint64_t Finish() {
    if (!piece_.empty()) EndPiece();
    return Checksum(pieces_.data(), pieces_.size() * sizeof(uint64_t));
  }

 private:
  void EndPiece() {
    pieces_.push_back(Checksum(piece_.data(), piece_.size()));
    piece_.clear();
  }
  std::string piece_;
  std::vector<uint64_t> pieces_;
};

absl::StatusOr<std::string> ReadAt(const ReadableFile& file, uint64_t offset, size_t bytes) {
  std::string out(bytes, '\0');
  MRL_RETURN_IF_ERROR(
      file.ReadAt(offset, absl::MakeSpan(reinterpret_cast<std::byte*>(out.data()), bytes)));
  return out;
}

absl::StatusOr<Snapshot::File> Measure(FileSystem& files, const std::string& folder,
                                       const std::string& name, const Watch& watch = {}) {
  MRL_ASSIGN_OR_RETURN(const auto file, files.Open(JoinPath(folder, name)));
  RunningChecksum checksum;
  for (uint64_t offset = 0; offset < file->size(); offset += kChunkBytes) {
    const size_t bytes = std::min<uint64_t>(kChunkBytes, file->size() - offset);
    MRL_RETURN_IF_ERROR(watch.Check("checking a snapshot"));
    MRL_ASSIGN_OR_RETURN(const std::string piece, ReadAt(*file, offset, bytes));
    checksum.Add(piece);
    watch.Report(offset + bytes, file->size());
  }
  return Snapshot::File{name, file->size(), checksum.Finish()};
}

absl::Status WriteWhole(FileSystem& files, const std::string& path, absl::string_view bytes) {
  MRL_ASSIGN_OR_RETURN(const auto file, files.Create(path));
  MRL_RETURN_IF_ERROR(file->WriteAt(
      0, absl::MakeConstSpan(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size())));
  MRL_RETURN_IF_ERROR(file->Sync());
  return file->Close();
}

absl::Status CopyFile(FileSystem& files, const std::string& from, const std::string& to) {
  MRL_ASSIGN_OR_RETURN(const auto source, files.Open(from));
  MRL_ASSIGN_OR_RETURN(const auto target, files.Create(to));
  for (uint64_t offset = 0; offset < source->size(); offset += kChunkBytes) {
    const size_t bytes = std::min<uint64_t>(kChunkBytes, source->size() - offset);
    MRL_ASSIGN_OR_RETURN(const std::string piece, ReadAt(*source, offset, bytes));
    MRL_RETURN_IF_ERROR(target->WriteAt(
        offset, absl::MakeConstSpan(reinterpret_cast<const std::byte*>(piece.data()), bytes)));
  }
  MRL_RETURN_IF_ERROR(target->Sync());
  return target->Close();
}

rocksdb::Env& EnvOr(rocksdb::Env* env) { return env == nullptr ? *rocksdb::Env::Default() : *env; }

absl::Status Link(rocksdb::Env* env, const std::string& from, const std::string& to) {
  return FromRocks(EnvOr(env).LinkFile(from, to), to);
}

// db/NAME or segments/NAME of plain letters, so that no name leads anywhere else.
absl::Status CheckFileName(const std::string& name) {
  absl::string_view rest = name;
  const bool known = absl::ConsumePrefix(&rest, "db/") || absl::ConsumePrefix(&rest, "segments/");
  const bool plain = !rest.empty() && rest.size() <= kNameBytesMax && rest[0] != '.' &&
                     rest[0] != '-' && std::all_of(rest.begin(), rest.end(), [](char c) {
                       return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' ||
                              c == '-' || c == '_';
                     });
  if (known && plain) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("snapshot: '", name.substr(0, kNameBytesMax), "' is no file of a collection"));
}

// Never changed once it is written.
bool IsConstant(const std::string& name) {
  return absl::StartsWith(name, "segments/") || absl::EndsWith(name, ".sst") ||
         absl::EndsWith(name, ".blob");
}

absl::Status SyncFolders(FileSystem& files, const std::string& folder) {
  MRL_RETURN_IF_ERROR(files.SyncDirectory(SegmentsPath(folder)));
  MRL_RETURN_IF_ERROR(files.SyncDirectory(DatabasePath(folder)));
  return files.SyncDirectory(folder);
}

absl::StatusOr<uint64_t> CountRows(const Database& database, const Manifest& manifest) {
  uint64_t deleted = 0;
  MRL_RETURN_IF_ERROR(database.ForEachDeletion([&](uint32_t, uint32_t) {
    ++deleted;
    return absl::OkStatus();
  }));
  uint64_t tail = 0;
  MRL_RETURN_IF_ERROR(database.ForEachRow([&](uint32_t, uint64_t, absl::string_view) {
    ++tail;
    return absl::OkStatus();
  }));
  return manifest.rows() - std::min(deleted, manifest.rows()) + tail;
}

}  // namespace

uint64_t Snapshot::bytes() const {
  uint64_t bytes = 0;
  for (const File& file : files) bytes += file.bytes;
  return bytes;
}

std::string Snapshot::Serialize() const {
  disk::Snapshot message;
  message.set_format_version(kVersion);
  message.set_collection_uuid(collection_uuid);
  message.set_generation(generation);
  message.set_sequence(sequence);
  message.set_rows(rows);
  message.set_created_unix_s(created_unix_s);
  for (const File& file : files) {
    disk::SnapshotFile* added = message.add_files();
    added->set_name(file.name);
    added->set_bytes(file.bytes);
    added->set_checksum(file.checksum);
  }
  return message.SerializeAsString();
}

absl::StatusOr<Snapshot> Snapshot::Parse(const std::string& bytes) {
  disk::Snapshot message;
  if (!message.ParseFromString(bytes) || message.format_version() == 0) {
    return absl::InvalidArgumentError("snapshot: the bytes are no list of files");
  }
  if (message.format_version() > kVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("snapshot: format version ", message.format_version(),
                     "; this program reads up to ", kVersion, ": use a newer one"));
  }
  if (static_cast<size_t>(message.files_size()) > kFilesMax) {
    return absl::InvalidArgumentError(absl::StrCat("snapshot: it has ", message.files_size(),
                                                   " files; the limit is ", kFilesMax));
  }
  Snapshot snapshot{.collection_uuid = message.collection_uuid(),
                    .generation = message.generation(),
                    .sequence = message.sequence(),
                    .rows = message.rows(),
                    .created_unix_s = message.created_unix_s(),
                    .files = {}};
  std::set<std::string> names;
  uint64_t total = 0;
  for (const disk::SnapshotFile& file : message.files()) {
    MRL_RETURN_IF_ERROR(CheckFileName(file.name()));
    if (!names.insert(file.name()).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("snapshot: '", file.name(), "' comes more than once"));
    }
    if (file.bytes() > std::numeric_limits<int64_t>::max() - total) {
      return absl::InvalidArgumentError("snapshot: its sizes are impossible");
    }
    total += file.bytes();
    snapshot.files.push_back({file.name(), file.bytes(), file.checksum()});
  }
  return snapshot;
}

absl::StatusOr<Snapshot> ListSnapshot(FileSystem& files, const std::string& folder,
                                      const std::string& collection, rocksdb::Env* env) {
  Snapshot snapshot;
  Manifest manifest;
  {
    MRL_ASSIGN_OR_RETURN(const auto database, Database::OpenReadOnly(DatabasePath(folder), env));
    MRL_ASSIGN_OR_RETURN(manifest, ReadManifest(*database));
    MRL_ASSIGN_OR_RETURN(snapshot.sequence, database->GetSequence());
    MRL_ASSIGN_OR_RETURN(snapshot.rows, CountRows(*database, manifest));
  }
  snapshot.collection_uuid = manifest.uuid;
  snapshot.generation = manifest.generation;
  MRL_RETURN_IF_ERROR(files.CreateDirectory(SegmentsPath(folder)));
  std::vector<std::string> names;
  for (const store::SegmentInfo& info : manifest.segments) {
    snapshot.sequence = std::max(snapshot.sequence, info.end_sequence() - 1);
    names.push_back(format::SegmentFileName(info.number));
  }
  for (const Manifest::SideFile& file : manifest.side_files) {
    names.push_back(format::SideFileName(file.segment, file.kind));
  }
  for (std::string& name : names) {
    MRL_RETURN_IF_ERROR(
        Link(env, JoinPath(SegmentsPath(collection), name), JoinPath(SegmentsPath(folder), name)));
    name = absl::StrCat("segments/", name);
  }
  MRL_ASSIGN_OR_RETURN(const auto tables, files.List(DatabasePath(folder)));
  for (const std::string& name : tables) names.push_back(absl::StrCat("db/", name));
  for (const std::string& name : names) {
    MRL_ASSIGN_OR_RETURN(Snapshot::File file, Measure(files, folder, name));
    snapshot.files.push_back(std::move(file));
  }
  snapshot.created_unix_s = absl::ToUnixSeconds(absl::Now());
  MRL_RETURN_IF_ERROR(WriteSnapshotList(files, folder, snapshot));
  return snapshot;
}

absl::Status WriteSnapshotList(FileSystem& files, const std::string& folder,
                               const Snapshot& snapshot) {
  MRL_RETURN_IF_ERROR(WriteWhole(files, JoinPath(folder, kListName), snapshot.Serialize()));
  return SyncFolders(files, folder);
}

absl::StatusOr<Snapshot> ReadSnapshot(FileSystem& files, const std::string& folder) {
  const std::string path = JoinPath(folder, kListName);
  if (!files.Exists(path)) return absl::NotFoundError(absl::StrCat(folder, " is no snapshot"));
  MRL_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(files, path, Snapshot::kListBytesMax));
  auto snapshot = Snapshot::Parse(bytes);
  if (absl::IsInvalidArgument(snapshot.status())) {
    return absl::DataLossError(absl::StrCat(path, ": ", snapshot.status().message()));
  }
  return snapshot;
}

absl::Status CheckSnapshot(FileSystem& files, const std::string& folder, const Snapshot& snapshot,
                           const Watch& watch) {
  const uint64_t all = snapshot.bytes();
  uint64_t done = 0;
  for (const Snapshot::File& expected : snapshot.files) {
    const Watch here = {
        .progress = [&](uint64_t bytes, uint64_t) { watch.Report(done + bytes, all); },
        .stopped = watch.stopped};
    const auto found = Measure(files, folder, expected.name, here);
    done += expected.bytes;
    const std::string path = JoinPath(folder, expected.name);
    if (absl::IsNotFound(found.status())) {
      return absl::DataLossError(absl::StrCat(path, ": the file is missing"));
    }
    MRL_RETURN_IF_ERROR(found.status());
    if (found->bytes != expected.bytes) {
      return absl::DataLossError(absl::StrCat(path, ": the file has ", found->bytes, " bytes; ",
                                              expected.bytes, " are in the snapshot's list"));
    }
    if (*found != expected) {
      return absl::DataLossError(absl::StrCat(path, ": the checksum is not the list's"));
    }
  }
  return absl::OkStatus();
}

absl::Status RestoreSnapshot(FileSystem& files, const std::string& folder, const std::string& path,
                             rocksdb::Env* env, const Watch& watch) {
  if (files.Exists(path)) return absl::AlreadyExistsError(absl::StrCat(path, " exists"));
  MRL_ASSIGN_OR_RETURN(const Snapshot snapshot, ReadSnapshot(files, folder));
  MRL_RETURN_IF_ERROR(CheckSnapshot(files, folder, snapshot, watch));
  const std::string uuid = format::NewUuid();
  const std::string temporary = absl::StrCat(path, ".tmp-", uuid.substr(0, 8));
  const auto make = [&]() -> absl::Status {
    for (const std::string& made : {temporary, SegmentsPath(temporary), DatabasePath(temporary)}) {
      MRL_RETURN_IF_ERROR(files.CreateDirectory(made));
    }
    for (const Snapshot::File& file : snapshot.files) {
      const std::string from = JoinPath(folder, file.name);
      const std::string to = JoinPath(temporary, file.name);
      MRL_RETURN_IF_ERROR(IsConstant(file.name) ? Link(env, from, to) : CopyFile(files, from, to));
    }
    MRL_RETURN_IF_ERROR(SyncFolders(files, temporary));
    MRL_ASSIGN_OR_RETURN(const auto database,
                         Database::OpenForWriting(DatabasePath(temporary), env));
    MRL_ASSIGN_OR_RETURN(Manifest manifest, ReadManifest(*database));
    manifest.uuid = uuid;
    MRL_RETURN_IF_ERROR(database->PutManifest(manifest.Serialize()));
    MRL_RETURN_IF_ERROR(database->Close());
    MRL_RETURN_IF_ERROR(files.Rename(temporary, path));
    return files.SyncDirectory(ParentPath(path));
  };
  absl::Status made = make();
  if (!made.ok()) files.RemoveTree(temporary).IgnoreError();
  return made;
}

}  // namespace mrl::collection
