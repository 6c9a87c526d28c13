// mrl: the online client.
#include <signal.h>
#include <unistd.h>

#include <cstdio>

#include "absl/strings/cord.h"
#include "absl/time/time.h"
#include "client/cli/command.h"

namespace mrl::cli {
namespace {

constexpr char kLocalFile[] = "mrl.local_file";

int CodeOf(const absl::Status& status) {
  if (status.GetPayload(kLocalFile).has_value()) return kIo;
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kOk;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return kBadInput;
    case absl::StatusCode::kUnavailable:
      return kUnavailable;
    default:
      return kFailure;
  }
}

int Run(int argc, char** argv) {
  signal(SIGINT, [](int) { _exit(kInterrupted); });
  CLI::App app("Searches a running mrl-server.", "mrl");
  Globals globals;
  app.set_version_flag("--version", "mrl " MRL_VERSION);
  AddConnectionFlags(app, &globals);
  app.add_flag("--json", globals.json, "Print JSON");
  app.fallthrough();  // --server and --json may follow the verb
  app.require_subcommand(1);
  Verb verb;
  AddSearch(app, &verb);
  AddExplain(app, &verb);
  AddStatus(app, &verb);
  AddCollections(app, &verb);
  AddPoints(app, &verb);
  AddSnapshots(app, &verb);
  AddProfiles(app, &verb);
  AddCertify(app, &verb);
  AddTune(app, &verb);
  AddReport(app, &verb);
  AddClassify(app, &verb);
  AddAliases(app, &verb);
  AddIndexes(app, &verb);
  AddOperations(app, &verb);
  // CLI11 reports by exceptions and with exit codes of its own.
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kOk : kUsage;
  }
  const auto options = MakeConnectionOptions(globals);
  if (!options.ok()) {
    std::fprintf(stderr, "mrl: %s\n", std::string(options.status().message()).c_str());
    return kUsage;
  }
  client::Client client(globals.server, *options);
  const absl::Status status = verb(client, globals);
  if (!status.ok()) {
    std::fprintf(stderr, "mrl: %s\n", std::string(status.message()).c_str());
  }
  return CodeOf(status);
}

}  // namespace

absl::Status LocalFileError(absl::Status status) {
  status.SetPayload(kLocalFile, absl::Cord());
  return status;
}

}  // namespace mrl::cli

int main(int argc, char** argv) { return mrl::cli::Run(argc, argv); }
