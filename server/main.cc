// mrl-server: serves built collections over gRPC. Exit codes: 0 drained, 1 failure, 2 usage.
#include <spdlog/spdlog.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "index/kernels/kernels.h"
#include "server/command_line.h"
#include "server/lifecycle.h"
#include "server/log.h"
#include "server/server.h"

namespace mrl::server {
namespace {

int Fail(int code, const std::string& message) {
  std::fprintf(stderr, "mrl-server: %s\n", message.c_str());
  return code;
}

int Serve(const Config& config) {
  SetUpLog("text", config.log_level);
  kernels::InstructionSet set;
  const char* supported = "";
  if (!kernels::ChooseFromEnvironment(&set, &supported)) {
    return Fail(2, std::string("MRL_CPU is not one of ") + supported);
  }
  Signals signals;
  auto server = Server::Start(FileSystem::Posix(), config);
  if (!server.ok()) return Fail(1, std::string(server.status().message()));
  std::printf("serving grpc=%s http=%s\n", (*server)->address().c_str(),
              (*server)->http_address().c_str());
  std::fflush(stdout);
  while (signals.Next() == Signals::Event::kReload) {
    spdlog::info("SIGHUP: reloading all collections");
    (*server)->SubmitReloadAll();
  }
  spdlog::info("stopping: running calls have {} ms", config.drain_timeout_ms);
  (*server)->Drain();
  return 0;
}

int Run(int argc, char** argv) {
  auto line = ParseCommandLine(
      argc, argv, [](const std::string& name) -> const char* { return std::getenv(name.c_str()); });
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
    case CommandLine::Action::kServe:
      return Serve(line->config);
  }
  return 1;
}

}  // namespace
}  // namespace mrl::server

int main(int argc, char** argv) { return mrl::server::Run(argc, argv); }
