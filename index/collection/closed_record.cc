#include "index/collection/closed_record.h"

#include <rocksdb/env.h>

#include <memory>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/checksum.h"
#include "base/file.h"
#include "base/status.h"
#include "index/collection/rocks_status.h"

namespace mrl::collection {
namespace {

constexpr char kName[] = "CLOSED";
constexpr char kHead[] = "mrl-closed 1";
constexpr uint64_t kCurrentBytesMax = 1024;
constexpr uint64_t kRecordBytesMax = 1024;
constexpr uint64_t kManifestBytesMax = uint64_t{1} << 30;

// Head, name of the manifest, its size and checksum; then the checksum of these lines.
std::string MakeRecord(const std::string& name, const std::string& bytes) {
  const std::string lines =
      absl::StrFormat("%s\n%s %u %016x\n", kHead, name, static_cast<unsigned>(bytes.size()),
                      Checksum(bytes.data(), bytes.size()));
  return absl::StrFormat("%s%016x\n", lines, Checksum(lines.data(), lines.size()));
}

// The name in a record that is whole.
absl::StatusOr<std::string> NameIn(const std::string& record) {
  const std::vector<std::string> lines = absl::StrSplit(record, '\n');
  if (lines.size() == 4 && lines[0] == kHead && lines[3].empty()) {
    const std::string covered = absl::StrCat(lines[0], "\n", lines[1], "\n");
    const auto sum = absl::StrFormat("%016x", Checksum(covered.data(), covered.size()));
    const std::vector<std::string> words = absl::StrSplit(lines[1], ' ');
    if (sum == lines[2] && words.size() == 3) return words[0];
  }
  return absl::DataLossError("the record of the last close is damaged");
}

}  // namespace

absl::Status WriteClosedRecord(rocksdb::Env& env, const std::string& path) {
  std::string current;
  MRL_RETURN_IF_ERROR(
      FromRocks(rocksdb::ReadFileToString(&env, JoinPath(path, "CURRENT"), &current), path));
  const std::string name(absl::StripSuffix(current, "\n"));
  std::string bytes;
  MRL_RETURN_IF_ERROR(
      FromRocks(rocksdb::ReadFileToString(&env, JoinPath(path, name), &bytes), path));
  const std::string to = JoinPath(path, kName);
  const std::string temporary = absl::StrCat(to, ".tmp");
  MRL_RETURN_IF_ERROR(FromRocks(rocksdb::WriteStringToFile(&env, MakeRecord(name, bytes), temporary,
                                                           /*should_sync=*/true),
                                path));
  MRL_RETURN_IF_ERROR(FromRocks(env.RenameFile(temporary, to), path));
  std::unique_ptr<rocksdb::Directory> folder;
  MRL_RETURN_IF_ERROR(FromRocks(env.NewDirectory(path, &folder), path));
  return FromRocks(folder->Fsync(), path);
}

absl::Status CheckClosedRecord(const std::string& path) {
  FileSystem& files = FileSystem::Posix();
  const std::string record_path = JoinPath(path, kName);
  if (!files.Exists(record_path)) return absl::OkStatus();
  MRL_ASSIGN_OR_RETURN(const std::string record, ReadFile(files, record_path, kRecordBytesMax));
  const auto name = NameIn(record);
  if (!name.ok()) return Annotate(name.status(), record_path);
  MRL_ASSIGN_OR_RETURN(const std::string current,
                       ReadFile(files, JoinPath(path, "CURRENT"), kCurrentBytesMax));
  if (absl::StripSuffix(current, "\n") != *name) return absl::OkStatus();
  const std::string manifest_path = JoinPath(path, *name);
  MRL_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(files, manifest_path, kManifestBytesMax));
  if (MakeRecord(*name, bytes) == record) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat(manifest_path, ": it is not what it was when it was closed"));
}

}  // namespace mrl::collection
