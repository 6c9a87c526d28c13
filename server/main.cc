// mrl-server: serves built collections over gRPC. Exit codes: 0 drained, or stopped before it
// served; 1 failure; 2 usage; 128 + signal where a second one did not wait for the drain.
#include <spdlog/spdlog.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "absl/synchronization/mutex.h"
#include "base/allocator.h"
#include "index/kernels/kernels.h"
#include "server/command_line.h"
#include "server/lifecycle.h"
#include "server/log.h"
#include "server/security/key_hash.h"
#include "server/server.h"

namespace mrl::server {
namespace {

int Fail(int code, const std::string& message) {
  std::fprintf(stderr, "mrl-server: %s\n", message.c_str());
  return code;
}

const char* Variable(const std::string& name) { return std::getenv(name.c_str()); }

// Reads the key without echoing it back in any message.
int HashKeyFromStdin() {
  std::string key;
  for (int c = std::getchar(); c != EOF && c != '\n'; c = std::getchar()) {
    key.push_back(static_cast<char>(c));
  }
  const auto hash = HashKey(key);
  if (!hash.ok()) return Fail(2, std::string(hash.status().message()));
  std::printf("%s\n", hash->c_str());
  return 0;
}

// The flags are those the program was started with; the file may say something new.
void Reload(int argc, char** argv, Server* server) {
  const auto line = ParseCommandLine(argc, argv, Variable);
  if (!line.ok()) {
    spdlog::error("nothing was reloaded: {}", std::string(line.status().message()));
    return;
  }
  server->Reload(line->config, line->settings);
}

int Serve(const CommandLine& line, int argc, char** argv) {
  const Config& config = line.config;
  // Debian's Abseil looks for cycles at every lock, gRPC's too: a fifth of a small call.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  KeepFreedMemory();
  SetUpLog(config.log_format, config.log_level);
  kernels::InstructionSet set;
  const char* supported = "";
  if (!kernels::ChooseFromEnvironment(&set, &supported)) {
    return Fail(2,
                std::string("MRL_CPU is ") + Variable("MRL_CPU") + "; this CPU has " + supported);
  }
  Signals signals;
  auto server = Server::Start(FileSystem::Posix(), config, line.settings,
                              [&signals] { return signals.stopping(); });
  if (absl::IsCancelled(server.status())) {
    spdlog::info("stopped before it served");
    return 0;
  }
  if (!server.ok()) return Fail(1, std::string(server.status().message()));
  std::printf("serving grpc=%s http=%s\n", (*server)->address().c_str(),
              (*server)->http_address().c_str());
  std::fflush(stdout);
  while (signals.Next() == Signals::Event::kReload) {
    spdlog::info("SIGHUP: reloading log level, keys, quotas, the list of indexes and collections");
    Reload(argc, argv, server->get());
  }
  spdlog::info("draining: running calls have {} ms", config.drain_timeout_ms);
  (*server)->Drain();
  return 0;
}

int Run(int argc, char** argv) {
  auto line = ParseCommandLine(argc, argv, Variable);
  if (!line.ok()) return Fail(2, std::string(line.status().message()));
  switch (line->action) {
    case CommandLine::Action::kPrintText:
      std::fputs(line->text.c_str(), stdout);
      return 0;
    case CommandLine::Action::kPrintConfig:
      for (const Setting& setting : line->settings) {
        std::printf("%s: %s  # %s\n", setting.key.c_str(), setting.value.c_str(),
                    setting.source.c_str());
      }
      return 0;
    case CommandLine::Action::kCheckConfig:
      std::printf("configuration ok\n");
      return 0;
    case CommandLine::Action::kHashKey:
      return HashKeyFromStdin();
    case CommandLine::Action::kServe:
      return Serve(*line, argc, argv);
  }
  return 1;
}

}  // namespace
}  // namespace mrl::server

int main(int argc, char** argv) { return mrl::server::Run(argc, argv); }
