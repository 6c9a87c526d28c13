// What every verb of `mrl` shares: the connection's flags, exit codes, and how an error becomes
// one.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <CLI/CLI.hpp>

#include "absl/status/status.h"
#include "client/cpp/client.h"

namespace mrl::cli {

enum ExitCode : int {
  kOk = 0,
  kFailure = 1,
  kUsage = 2,
  kBadInput = 65,
  kUnavailable = 69,
  kIo = 74,
  kInterrupted = 130,
};

struct Globals {
  std::string server = "127.0.0.1:7600";
  bool json = false;
  double timeout_s = 30;
  bool tls = false;
  std::string tls_ca, tls_cert, tls_key;  // files; naming one turns TLS on
  std::string api_key_file;               // wins over MRL_API_KEY; a flag would be seen by others
};

// The error of a file of this machine, marked so that the program exits with kIo: the server's
// errors have the same codes and other exits.
absl::Status LocalFileError(absl::Status status);

// Adds the flags of `globals` to `app`.
void AddConnectionFlags(CLI::App& app, Globals* globals);
// Reads the files that the flags name; errors name the file.
absl::StatusOr<client::ConnectionOptions> MakeConnectionOptions(const Globals& globals);

// The chosen verb, run after parsing.
using Verb = std::function<absl::Status(client::Client&, const Globals&)>;

// When `one` is chosen, `*verb` calls `run` with `*flags`, which are all parsed by then.
template <typename Flags, typename Run>
void RunWith(CLI::App& one, const std::shared_ptr<Flags>& flags, Run run, Verb* verb) {
  one.callback([verb, flags, run = std::move(run)] {
    *verb = [flags, run](client::Client& client, const Globals& globals) {
      return run(client, globals, *flags);
    };
  });
}

// Each adds its verb to `app`; when the verb is chosen `*verb` is set.
void AddSearch(CLI::App& app, Verb* verb);
void AddExplain(CLI::App& app, Verb* verb);
void AddStatus(CLI::App& app, Verb* verb);
void AddCollections(CLI::App& app, Verb* verb);
void AddPoints(CLI::App& app, Verb* verb);
void AddSnapshots(CLI::App& app, Verb* verb);
void AddProfiles(CLI::App& app, Verb* verb);
void AddCertify(CLI::App& app, Verb* verb);
void AddTune(CLI::App& app, Verb* verb);
void AddReport(CLI::App& app, Verb* verb);
void AddClassify(CLI::App& app, Verb* verb);
void AddAliases(CLI::App& app, Verb* verb);
void AddIndexes(CLI::App& app, Verb* verb);
void AddOperations(CLI::App& app, Verb* verb);
// Verbs below `collections` and `points`, in files of their own.
void AddCollectionChanges(CLI::App& collections, Verb* verb);
void AddPointWrites(CLI::App& points, Verb* verb);

}  // namespace mrl::cli
