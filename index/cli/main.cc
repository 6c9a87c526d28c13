// mrl-index: works on embedding files and collection directories; needs no server.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <string>

#include "base/allocator.h"
#include "index/cli/command.h"
#include "index/kernels/kernels.h"

namespace mrl::cli {
namespace {

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "it is set by a signal handler");

int CodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kOk;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kDataLoss:
      return kBadInput;
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kNotFound:
      return kIo;
    case absl::StatusCode::kCancelled:
      return kInterrupted;
    default:
      return kFailure;
  }
}

// One signal goes to `handler`; another one ends the program as it would any.
void OnInterrupt(void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

constexpr char kVersion[] = "mrl-index " MRL_VERSION;

constexpr char kFooter[] = R"(Examples:
  mrl-index build --input base.npy --dims 16,64,256,1024 --output INDEX
  mrl-index search --index INDEX --id dog.n.01 -k 5 --funnel 16:400,64:100,512:10 --explain
  mrl-index eval --index INDEX --queries queries.npy --funnel 16:200,1024:10 --exact
  mrl-index tune --index INDEX --queries queries.npy --target-recall 0.95
  mrl-index report --input base.npy --html report.html
Exit codes: 0 ok, 1 failure, 2 usage, 65 bad input data, 74 I/O, 130 interrupted.)";

int Run(int argc, char** argv) {
  KeepFreedMemory();
  CLI::App app("Builds, checks, searches and measures collection directories.", "mrl-index");
  app.set_version_flag("--version", kVersion);
  app.footer(kFooter);
  app.require_subcommand(1);
  Verb verb;
  AddBuild(app, &verb);
  AddAppend(app, &verb);
  AddIndex(app, &verb);
  AddInspect(app, &verb);
  AddVerify(app, &verb);
  AddSearch(app, &verb);
  AddEval(app, &verb);
  AddTune(app, &verb);
  AddCertify(app, &verb);
  AddProfile(app, &verb);
  AddReport(app, &verb);
  AddEstimate(app, &verb);
  for (CLI::App* one : app.get_subcommands({})) one->set_version_flag("--version", kVersion);
  // CLI11 reports by exceptions and with exit codes of its own.
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kOk : kUsage;
  }
  kernels::InstructionSet set;
  const char* supported = nullptr;
  if (!kernels::ChooseFromEnvironment(&set, &supported)) {
    std::fprintf(stderr, "mrl-index: MRL_CPU is unknown or not supported here; this CPU has %s\n",
                 supported);
    return kUsage;
  }
  OnInterrupt([](int) { _exit(kInterrupted); });
  const absl::Status status = verb();
  if (!status.ok()) {
    std::fprintf(stderr, "mrl-index: %s\n", std::string(status.message()).c_str());
  }
  return CodeOf(status);
}

}  // namespace

void CatchInterrupts() {
  OnInterrupt([](int) { interrupted.store(true, std::memory_order_relaxed); });
}

bool Interrupted() { return interrupted.load(std::memory_order_relaxed); }

}  // namespace mrl::cli

int main(int argc, char** argv) { return mrl::cli::Run(argc, argv); }
