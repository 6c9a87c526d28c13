// mrl-floor: the cheapest Search that gRPC can serve, to hold mrl-server's against. The port is set
// up as the server sets its own up; the handler does nothing, or copies a fixed reply, or reads
// memory first, as an engine does that leaves the caches to nobody.
#include <grpcpp/grpcpp.h>
#include <signal.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "absl/synchronization/mutex.h"
#include "mrl/v1/search.grpc.pb.h"
#include "server/grpc_port.h"

namespace mrl::floor {
namespace {

// Takes any request, gives back `reply`; reads `touched` words of 8 bytes first, and says how long
// that took as the engine's time.
class Floor final : public v1::SearchService::CallbackService {
 public:
  Floor(v1::SearchResponse reply, size_t touched) : reply_(std::move(reply)), memory_(touched, 1) {}
  grpc::ServerUnaryReactor* Search(grpc::CallbackServerContext* context, const v1::SearchRequest*,
                                   v1::SearchResponse* response) override {
    if (reply_.hits_size() > 0) *response = reply_;
    if (!memory_.empty()) Touch(response->mutable_stats());
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

 private:
  void Touch(v1::SearchStats* stats) const {
    const auto begin = std::chrono::steady_clock::now();
    const uint64_t sum = std::accumulate(memory_.begin(), memory_.end(), uint64_t{0});
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
    stats->set_engine_micros(took.count());
    stats->set_rows_scanned(sum);
  }

  const v1::SearchResponse reply_;
  const std::vector<uint64_t> memory_;
};

// As large as the answer of a search through three stages.
v1::SearchResponse Reply(int hits) {
  v1::SearchResponse reply;
  for (int i = 0; i < hits; ++i) {
    v1::Hit* hit = reply.add_hits();
    hit->mutable_id()->set_number(1'000'000 + static_cast<uint64_t>(i));
    hit->set_score(0.5f);
  }
  for (int i = 0; i < (hits == 0 ? 0 : 3); ++i) {
    v1::StageStats* stage = reply.mutable_stats()->add_stages();
    stage->set_kind("rerank");
    stage->set_dims(512);
    stage->set_bits(1);
    stage->set_candidates_in(1'000'000);
    stage->set_candidates_out(4000);
    stage->set_bytes_touched(16'000'000);
    stage->set_micros(100);
    stage->set_score_cut(0.5f);
  }
  if (hits > 0) reply.mutable_stats()->set_plan("scan/128b1:4000,512b1:150,1024:10");
  return reply;
}

int Run(int argc, char** argv) {
  CLI::App app("The cheapest Search that gRPC can serve: a handler that does nothing.",
               "mrl-floor");
  int hits = 0;
  size_t touched_bytes = 0;
  server::Config config;
  config.grpc_port = 0;
  app.add_option("--grpc-port", config.grpc_port, "Port; 0 = any free one")->capture_default_str();
  app.add_option("--hits", hits, "Hits of a fixed reply, with stats; 0 = an empty one")
      ->capture_default_str();
  app.add_option("--touch-bytes", touched_bytes, "Bytes that each call reads; 0 = none")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);  // as mrl-server does
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stop, nullptr);
  Floor floor(Reply(hits), touched_bytes / sizeof(uint64_t));
  auto port = server::OpenGrpcPort(config, /*tls=*/nullptr, {&floor});
  if (!port.ok()) {
    std::fprintf(stderr, "mrl-floor: %s\n", std::string(port.status().message()).c_str());
    return 1;
  }
  std::printf("serving grpc=%s\n", port->address.c_str());
  std::fflush(stdout);
  int number = 0;
  sigwait(&stop, &number);
  port->server->Shutdown(std::chrono::system_clock::now());
  return 0;
}

}  // namespace
}  // namespace mrl::floor

int main(int argc, char** argv) { return mrl::floor::Run(argc, argv); }
