// What every verb of mrl-index shares: how it is added, how an error becomes an exit code, how it
// is interrupted, how many threads it runs.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <thread>

#include <CLI/CLI.hpp>

#include "absl/status/status.h"

namespace mrl::cli {

enum ExitCode : int {
  kOk = 0,
  kFailure = 1,
  kUsage = 2,
  kBadInput = 65,
  kIo = 74,
  kInterrupted = 130,
};

// The chosen verb, run after parsing.
using Verb = std::function<absl::Status()>;

// Each adds its verb to `app`; when the verb is chosen `*verb` is set.
void AddBuild(CLI::App& app, Verb* verb);
void AddAppend(CLI::App& app, Verb* verb);
void AddIndex(CLI::App& app, Verb* verb);
void AddInspect(CLI::App& app, Verb* verb);
void AddVerify(CLI::App& app, Verb* verb);
void AddSearch(CLI::App& app, Verb* verb);
void AddEval(CLI::App& app, Verb* verb);
void AddTune(CLI::App& app, Verb* verb);
void AddCertify(CLI::App& app, Verb* verb);
void AddProfile(CLI::App& app, Verb* verb);
void AddReport(CLI::App& app, Verb* verb);
void AddEstimate(CLI::App& app, Verb* verb);

// From now on the first SIGINT or SIGTERM is left to the verb, which must look at Interrupted()
// between chunks and return CANCELLED; a second one ends the program. For verbs that leave nothing
// behind the first one does.
void CatchInterrupts();
bool Interrupted();

// Threads to run: as many as were asked for; of 0 one for each core.
inline uint32_t Threads(uint32_t asked) {
  return asked != 0 ? asked : std::max(1U, std::thread::hardware_concurrency());
}

}  // namespace mrl::cli
