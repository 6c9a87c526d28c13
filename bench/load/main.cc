// mrl-load: an open-loop load of searches over gRPC, at one rate after another.
#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "bench/load/open_loop.h"
#include "index/io/embeddings.h"

namespace mrl::load {
namespace {

struct Flags {
  std::string server = "127.0.0.1:7600", collection, queries, funnel;
  std::vector<double> rates = {100};
  uint32_t k = 10;
  uint64_t queries_max = 10'000;
  int connections = 4, pid = 0;
  double warmup_s = 2;
  bool json = false;
  OpenLoopOptions loop;
};

void Declare(CLI::App* app, Flags* flags) {
  app->add_option("--server", flags->server, "ADDRESS:PORT")->capture_default_str();
  app->add_option("--collection", flags->collection, "Collection to search")->required();
  app->add_option("--queries", flags->queries, "npy, fvecs or fbin file of queries")->required();
  app->add_option("--queries-max", flags->queries_max, "Queries to take from it")
      ->capture_default_str();
  app->add_option("--funnel", flags->funnel, "Funnel (default: the server's rule)");
  app->add_option("-k", flags->k, "Hits")->capture_default_str();
  app->add_option("--rates", flags->rates, "Calls per second, one run each, in this order")
      ->delimiter(',')
      ->capture_default_str();
  app->add_option("--seconds", flags->loop.seconds, "Length of a run")->capture_default_str();
  app->add_option("--warmup", flags->warmup_s, "Seconds before the first run, at its rate")
      ->capture_default_str();
  app->add_option("--timeout", flags->loop.timeout_s, "Deadline of a call, in seconds")
      ->capture_default_str();
  app->add_option("--connections", flags->connections, "Connections")->capture_default_str();
  app->add_option("--seed", flags->loop.seed, "Seed of the gaps")->capture_default_str();
  app->add_option("--pid", flags->pid, "The server's process here: prints its CPU time per call");
  app->add_flag("--json", flags->json, "One JSON object a run");
}

absl::StatusOr<std::vector<v1::SearchRequest>> MakeRequests(const Flags& flags) {
  MRL_ASSIGN_OR_RETURN(const auto reader, io::OpenEmbeddings(FileSystem::Posix(), flags.queries));
  const uint64_t rows = std::min(reader->rows(), flags.queries_max);
  if (rows == 0) return absl::InvalidArgumentError(absl::StrCat(flags.queries, ": no rows"));
  std::vector<float> vector(reader->dims());
  std::vector<v1::SearchRequest> requests;
  for (uint64_t row = 0; row < rows; ++row) {
    MRL_RETURN_IF_ERROR(reader->Read(row, absl::MakeSpan(vector)));
    v1::SearchRequest& request = requests.emplace_back();
    request.set_collection(flags.collection);
    request.mutable_vector()->set_dtype(v1::DTYPE_F32);
    request.mutable_vector()->set_data(vector.data(), vector.size() * sizeof(float));
    request.mutable_options()->set_k(flags.k);
    if (!flags.funnel.empty()) request.mutable_options()->set_funnel_text(flags.funnel);
  }
  return requests;
}

std::vector<std::unique_ptr<v1::SearchService::Stub>> Connect(const Flags& flags) {
  std::vector<std::unique_ptr<v1::SearchService::Stub>> stubs;
  for (int i = 0; i < flags.connections; ++i) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // else all share one connection
    stubs.push_back(v1::SearchService::NewStub(
        grpc::CreateCustomChannel(flags.server, grpc::InsecureChannelCredentials(), arguments)));
  }
  return stubs;
}

double Micros(uint64_t nanos) { return static_cast<double>(nanos) * 1e-3; }

void Print(const Flags& flags, double rate, const OpenLoopResult& result, double cpu_s) {
  const double per_call_us =
      cpu_s < 0 || result.due == 0 ? -1 : cpu_s * 1e6 / static_cast<double>(result.due);
  const double qps = static_cast<double>(result.answered()) / result.seconds;
  nlohmann::json line = {{"rate", rate},
                         {"answered_per_s", qps},
                         {"due", result.due},
                         {"unsent", result.unsent},
                         {"ended", result.ended},
                         {"mean_us", result.latency_ns.mean() * 1e-3},
                         {"max_us", Micros(result.latency_ns.max())},
                         {"late_p99_us", Micros(result.late_ns.Quantile(0.99))},
                         {"server_cpu_us_per_call", per_call_us}};
  for (const auto& [name, q] : {std::pair{"p50_us", 0.5}, std::pair{"p90_us", 0.9},
                                std::pair{"p99_us", 0.99}, std::pair{"p999_us", 0.999}}) {
    line[name] = Micros(result.latency_ns.Quantile(q));
  }
  if (flags.json) {
    std::printf("%s\n", line.dump().c_str());
  } else {
    std::string other;
    for (const auto& [code, count] : result.ended) {
      if (code != "OK") absl::StrAppend(&other, " ", code, "=", count);
    }
    std::printf("%8.0f %9.1f %9.0f %9.0f %9.0f %9.0f %9.0f %8.1f %s\n", rate, qps,
                Micros(result.latency_ns.Quantile(0.5)), Micros(result.latency_ns.Quantile(0.99)),
                Micros(result.latency_ns.Quantile(0.999)), Micros(result.latency_ns.max()),
                Micros(result.late_ns.Quantile(0.99)), per_call_us, other.c_str());
  }
  std::fflush(stdout);
}

int Run(int argc, char** argv) {
  CLI::App app(
      "Open-loop load of searches: calls go out when they are due, and their time counts from "
      "then.",
      "mrl-load");
  Flags flags;
  Declare(&app, &flags);
  CLI11_PARSE(app, argc, argv);
  if (const char* key = std::getenv("MRL_API_KEY"); key != nullptr) flags.loop.api_key = key;
  const auto requests = MakeRequests(flags);
  if (!requests.ok()) {
    std::fprintf(stderr, "mrl-load: %s\n", std::string(requests.status().message()).c_str());
    return 1;
  }
  const auto stubs = Connect(flags);
  if (!flags.json) {
    std::printf("%8s %9s %9s %9s %9s %9s %9s %8s\n", "rate/s", "answers/s", "p50 us", "p99 us",
                "p99.9 us", "max us", "late p99", "CPU us");
  }
  OpenLoopOptions options = flags.loop;
  options.calls_per_s = flags.rates.front();
  options.seconds = flags.warmup_s;
  RunOpenLoop(stubs, *requests, options);
  options.seconds = flags.loop.seconds;
  for (const double rate : flags.rates) {
    options.calls_per_s = rate;
    const double before = CpuSecondsOf(flags.pid);
    const OpenLoopResult result = RunOpenLoop(stubs, *requests, options);
    const double cpu_s = flags.pid > 0 ? CpuSecondsOf(flags.pid) - before : -1;
    Print(flags, rate, result, cpu_s);
  }
  return 0;
}

}  // namespace
}  // namespace mrl::load

int main(int argc, char** argv) { return mrl::load::Run(argc, argv); }
