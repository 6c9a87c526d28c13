// mrl snapshots: create, list, get, delete, download, upload and restore.
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/file.h"
#include "base/status.h"
#include "client/cli/command.h"
#include "client/cli/operation_wait.h"
#include "client/cli/output.h"

namespace mrl::cli {
namespace {

constexpr size_t kPieceBytes = 1 << 20;

struct SnapshotFlags {
  std::string collection;
  std::string name;
  std::string file;
  std::string target;
  bool no_wait = false;
};

nlohmann::json ToJson(const client::Snapshot& snapshot) {
  return {{"collection", snapshot.collection},
          {"name", snapshot.name},
          {"collection_uuid", snapshot.collection_uuid},
          {"generation", snapshot.generation},
          {"sequence", snapshot.sequence},
          {"rows", snapshot.rows},
          {"bytes", snapshot.bytes},
          {"files", snapshot.files},
          {"created_unix_s", snapshot.created_unix_s}};
}

void PrintAll(const std::vector<client::Snapshot>& snapshots) {
  std::vector<std::vector<std::string>> table = {{"name", "sequence", "rows", "bytes", "files"}};
  for (const client::Snapshot& one : snapshots) {
    table.push_back({one.name, absl::StrCat(one.sequence), absl::StrCat(one.rows),
                     absl::StrCat(one.bytes), absl::StrCat(one.files)});
  }
  PrintTable(table);
}

absl::Status Show(const absl::StatusOr<client::Snapshot>& snapshot, const Globals& globals) {
  MRL_RETURN_IF_ERROR(snapshot.status());
  if (globals.json) {
    PrintJson(ToJson(*snapshot));
  } else {
    PrintAll({*snapshot});
  }
  return absl::OkStatus();
}

absl::Status Create(client::Client& client, const Globals& globals, const SnapshotFlags& flags) {
  return Show(client.CreateSnapshot(flags.collection, flags.name), globals);
}

absl::Status Get(client::Client& client, const Globals& globals, const SnapshotFlags& flags) {
  return Show(client.GetSnapshot(flags.collection, flags.name), globals);
}

absl::Status List(client::Client& client, const Globals& globals, const SnapshotFlags& flags) {
  MRL_ASSIGN_OR_RETURN(const std::vector<client::Snapshot> snapshots,
                       client.ListSnapshots(flags.collection));
  if (!globals.json) {
    PrintAll(snapshots);
    return absl::OkStatus();
  }
  nlohmann::json out = nlohmann::json::array();
  for (const client::Snapshot& snapshot : snapshots) out.push_back(ToJson(snapshot));
  PrintJson(out);
  return absl::OkStatus();
}

absl::Status Delete(client::Client& client, const Globals&, const SnapshotFlags& flags) {
  return client.DeleteSnapshot(flags.collection, flags.name);
}

// Beside its place until all of it is there.
absl::Status Download(client::Client& client, const Globals&, const SnapshotFlags& flags) {
  FileSystem& files = FileSystem::Posix();
  const std::string part = absl::StrCat(flags.file, ".part");
  if (files.Exists(flags.file)) {
    return LocalFileError(absl::AlreadyExistsError(absl::StrCat(flags.file, " exists")));
  }
  files.RemoveTree(part).IgnoreError();
  auto file = files.Create(part);
  if (!file.ok()) return LocalFileError(file.status());
  uint64_t offset = 0;
  absl::Status done = client.DownloadSnapshot(
      flags.collection, flags.name, [&](absl::string_view data) -> absl::Status {
        const absl::Status written = (*file)->WriteAt(
            offset,
            absl::MakeConstSpan(reinterpret_cast<const std::byte*>(data.data()), data.size()));
        offset += data.size();
        return written.ok() ? written : LocalFileError(written);
      });
  if (done.ok()) {
    absl::Status kept = (*file)->Sync();
    if (kept.ok()) kept = (*file)->Close();
    if (kept.ok()) kept = files.Rename(part, flags.file);
    if (!kept.ok()) done = LocalFileError(std::move(kept));
  }
  if (!done.ok()) files.Remove(part).IgnoreError();
  return done;
}

absl::Status Upload(client::Client& client, const Globals& globals, const SnapshotFlags& flags) {
  const auto file = FileSystem::Posix().Open(flags.file);
  if (!file.ok()) return LocalFileError(file.status());
  uint64_t offset = 0;
  return Show(
      client.UploadSnapshot(flags.collection, flags.name,
                            [&]() -> absl::StatusOr<std::string> {
                              const uint64_t left = (*file)->size() - offset;
                              std::string piece(left < kPieceBytes ? left : kPieceBytes, '\0');
                              const absl::Status read = (*file)->ReadAt(
                                  offset, absl::MakeSpan(reinterpret_cast<std::byte*>(piece.data()),
                                                         piece.size()));
                              if (!read.ok()) return LocalFileError(read);
                              offset += piece.size();
                              return piece;
                            }),
      globals);
}

absl::Status Restore(client::Client& client, const Globals& globals, const SnapshotFlags& flags) {
  const auto begun = client.RestoreSnapshot(flags.collection, flags.name, flags.target);
  if (flags.no_wait) return End(client, globals, begun, /*no_wait=*/true);
  MRL_RETURN_IF_ERROR(begun.status());
  MRL_RETURN_IF_ERROR(WaitFor(client, *begun).status());
  MRL_ASSIGN_OR_RETURN(const client::Collection made, client.GetCollection(flags.target));
  std::printf("%s: %llu rows\n", made.name.c_str(), static_cast<unsigned long long>(made.rows));
  return absl::OkStatus();
}

using Run = absl::Status (*)(client::Client&, const Globals&, const SnapshotFlags&);

// With the name of the collection and, unless it is `list`, that of the snapshot.
CLI::App* AddOne(CLI::App& snapshots, const std::string& verb_name, const char* about, Run run,
                 const std::shared_ptr<SnapshotFlags>& flags, Verb* verb) {
  CLI::App* one = snapshots.add_subcommand(verb_name, about);
  one->add_option("collection", flags->collection, "Name of the collection")->required();
  if (verb_name != "list") {
    one->add_option("name", flags->name, "Name of the snapshot")->required();
  }
  RunWith(*one, flags, run, verb);
  return one;
}

}  // namespace

void AddSnapshots(CLI::App& app, Verb* verb) {
  CLI::App* snapshots = app.add_subcommand("snapshots", "Keep, copy and restore collections");
  snapshots->require_subcommand(1);
  auto flags = std::make_shared<SnapshotFlags>();
  AddOne(*snapshots, "create", "Keep the collection as it is now", Create, flags, verb);
  AddOne(*snapshots, "list", "Snapshots of a collection", List, flags, verb);
  AddOne(*snapshots, "get", "One snapshot", Get, flags, verb);
  AddOne(*snapshots, "delete", "Remove a snapshot", Delete, flags, verb);
  AddOne(*snapshots, "download", "Copy a snapshot to a file", Download, flags, verb)
      ->add_option("--output", flags->file, "File to make")
      ->required();
  AddOne(*snapshots, "upload", "Copy a downloaded file to the server", Upload, flags, verb)
      ->add_option("--input", flags->file, "File that was downloaded")
      ->required();
  CLI::App* restore =
      AddOne(*snapshots, "restore", "Make a new collection of a snapshot", Restore, flags, verb);
  restore->add_option("--to", flags->target, "Name of the new collection")->required();
  AddNoWait(*restore, &flags->no_wait);
}

}  // namespace mrl::cli
