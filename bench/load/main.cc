// mrl-load: an open-loop load of searches and writes over gRPC, at one rate after another or up to
// the rate that the server just sustains.
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status.h"
#include "bench/load/knee.h"
#include "bench/load/open_loop.h"
#include "index/io/embeddings.h"

namespace mrl::load {
namespace {

constexpr uint64_t kRootsBytesMax = 1 << 20;

struct Flags {
  std::string server = "127.0.0.1:7600", tls_ca, collection, queries, funnel;
  std::vector<double> rates = {100};
  uint32_t k = 10;
  uint64_t queries_max = 10'000;
  int connections = 4, pid = 0;
  double warmup_s = 2;
  bool json = false;
  bool sweep = false;
  double knee_p99_ms = 50;
  uint64_t write_ids = 100'000;
  int write_points = 1;
  OpenLoopOptions loop;
};

void Declare(CLI::App* app, Flags* flags) {
  app->add_option("--server", flags->server, "ADDRESS:PORT")->capture_default_str();
  app->add_option("--tls-ca", flags->tls_ca, "Use TLS with the roots in this PEM file");
  app->add_option("--collection", flags->collection, "Collection to search")->required();
  app->add_option("--queries", flags->queries, "npy, fvecs or fbin file of queries")->required();
  app->add_option("--queries-max", flags->queries_max, "Queries to take from it")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app->add_option("--funnel", flags->funnel, "Funnel, or `exact` (default: the server's rule)");
  app->add_option("-k", flags->k, "Hits")->check(CLI::PositiveNumber)->capture_default_str();
  app->add_option("--rates", flags->rates, "Calls per second, one run each, in this order")
      ->delimiter(',')
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app->add_flag(
      "--sweep", flags->sweep,
      "Begin at the first rate and go up or down to the largest that the server sustains: "
      "99 % answered, p99 within --knee-p99-ms");
  app->add_option("--knee-p99-ms", flags->knee_p99_ms, "See --sweep")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app->add_option("--writes", flags->loop.writes, "Share of calls that are UpsertPoints, 0 to 1")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app->add_option("--write-ids", flags->write_ids,
                  "Writes go to so many ids, from 0, in a fixed mix")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 32))
      ->capture_default_str();
  app->add_option("--write-points", flags->write_points, "Points of one write")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app->add_option("--seconds", flags->loop.seconds, "Length of a run")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app->add_option("--warmup", flags->warmup_s, "Seconds before the first run, at its rate")
      ->capture_default_str();
  app->add_option("--timeout", flags->loop.timeout_s, "Deadline of a call, in seconds")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app->add_option("--connections", flags->connections, "Connections")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app->add_option("--seed", flags->loop.seed, "Seed of the gaps")->capture_default_str();
  app->add_option("--pid", flags->pid, "The server's process here: prints its CPU time per call");
  app->add_flag("--json", flags->json, "One JSON object a run");
}

// The n-th id to write: multiples of the golden ratio, whose fractions spread evenly over the ids.
uint64_t WriteId(uint64_t n, uint64_t ids) {
  constexpr uint64_t kGolden = 0x9E3779B97F4A7C15;  // its fraction, times 2^64
  return (n * kGolden >> 32) * ids >> 32;
}

// Points of the queries' vectors.
void AddWrites(const Flags& flags, Requests* requests) {
  uint64_t number = 0;
  for (size_t i = 0; i < requests->searches.size(); ++i) {
    v1::UpsertPointsRequest& write = requests->writes.emplace_back();
    write.set_collection(flags.collection);
    for (int point = 0; point < flags.write_points; ++point, ++number) {
      v1::PointWrite* added = write.add_points();
      added->mutable_id()->set_number(WriteId(number, flags.write_ids));
      *added->mutable_vector() = requests->searches[number % requests->searches.size()].vector();
    }
  }
}

absl::StatusOr<Requests> MakeRequests(const Flags& flags) {
  MRL_ASSIGN_OR_RETURN(const auto reader, io::OpenEmbeddings(FileSystem::Posix(), flags.queries));
  const uint64_t rows = std::min(reader->rows(), flags.queries_max);
  if (rows == 0) return absl::InvalidArgumentError(absl::StrCat(flags.queries, ": no rows"));
  std::vector<float> vector(reader->dims());
  Requests requests;
  for (uint64_t row = 0; row < rows; ++row) {
    MRL_RETURN_IF_ERROR(reader->Read(row, absl::MakeSpan(vector)));
    v1::SearchRequest& request = requests.searches.emplace_back();
    request.set_collection(flags.collection);
    request.mutable_vector()->set_dtype(v1::DTYPE_F32);
    request.mutable_vector()->set_data(vector.data(), vector.size() * sizeof(float));
    request.mutable_options()->set_k(flags.k);
    if (flags.funnel == "exact") {
      request.mutable_options()->set_exact(true);
    } else if (!flags.funnel.empty()) {
      request.mutable_options()->set_funnel_text(flags.funnel);
    }
  }
  if (flags.loop.writes > 0) AddWrites(flags, &requests);
  return requests;
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> Credentials(const Flags& flags) {
  if (flags.tls_ca.empty()) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions options;
  MRL_ASSIGN_OR_RETURN(options.pem_root_certs,
                       ReadFile(FileSystem::Posix(), flags.tls_ca, kRootsBytesMax));
  return grpc::SslCredentials(options);
}

absl::StatusOr<std::vector<Stubs>> Connect(const Flags& flags) {
  MRL_ASSIGN_OR_RETURN(const auto credentials, Credentials(flags));
  std::vector<Stubs> connections;
  for (int i = 0; i < flags.connections; ++i) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // else all share one connection
    const auto channel = grpc::CreateCustomChannel(flags.server, credentials, arguments);
    connections.push_back(
        {v1::SearchService::NewStub(channel), v1::PointService::NewStub(channel)});
  }
  return connections;
}

double Micros(uint64_t nanos) { return static_cast<double>(nanos) * 1e-3; }

nlohmann::json ToJson(const Answers& answers) {
  nlohmann::json out = {{"ended", answers.ended},
                        {"mean_us", answers.latency_ns.mean() * 1e-3},
                        {"max_us", Micros(answers.latency_ns.max())},
                        {"refused_p99_us", Micros(answers.refused_ns.Quantile(0.99))}};
  for (const auto& [name, q] : {std::pair{"p50_us", 0.5}, std::pair{"p90_us", 0.9},
                                std::pair{"p99_us", 0.99}, std::pair{"p999_us", 0.999}}) {
    out[name] = Micros(answers.latency_ns.Quantile(q));
  }
  return out;
}

nlohmann::json ToJson(const Flags& flags, double rate, const OpenLoopResult& result, double cpu_s) {
  const auto searches = static_cast<double>(result.searches.latency_ns.count());
  nlohmann::json line = ToJson(result.searches);
  line["rate"] = rate;
  line["answered_per_s"] = static_cast<double>(result.answered()) / result.seconds;
  line["due"] = result.due;
  line["unsent"] = result.unsent;
  line["late_p99_us"] = Micros(result.late_ns.Quantile(0.99));
  line["server_cpu_us_per_call"] =
      cpu_s < 0 || result.due == 0 ? -1 : cpu_s * 1e6 / static_cast<double>(result.due);
  line["engine_us_per_search"] = searches == 0 ? 0 : result.engine_micros / searches;
  line["handler_us_per_search"] = searches == 0 ? 0 : result.handler_micros / searches;
  if (flags.loop.writes > 0) line["writes"] = ToJson(result.writes);
  return line;
}

std::string Failures(const std::map<std::string, uint64_t>& ended, absl::string_view kind) {
  std::string text;
  for (const auto& [code, count] : ended) {
    if (code != "OK") absl::StrAppend(&text, " ", kind, code, "=", count);
  }
  return text;
}

void PrintHeading(const Flags& flags) {
  if (flags.json) return;
  std::printf("%8s %9s %9s %9s %9s %9s %9s %8s %9s%s\n", "rate/s", "answers/s", "p50 us", "p99 us",
              "p99.9 us", "max us", "late p99", "CPU us", "engine us",
              flags.loop.writes > 0 ? "  write p50 us, p99 us" : "");
}

void Print(const Flags& flags, double rate, const OpenLoopResult& result, double cpu_s) {
  const nlohmann::json line = ToJson(flags, rate, result, cpu_s);
  if (flags.json) {
    std::printf("%s\n", line.dump().c_str());
  } else {
    const Histogram& searches = result.searches.latency_ns;
    std::string rest;
    if (flags.loop.writes > 0) {
      const Histogram& writes = result.writes.latency_ns;
      absl::StrAppend(&rest, "  ", Micros(writes.Quantile(0.5)), " ",
                      Micros(writes.Quantile(0.99)));
    }
    absl::StrAppend(&rest, Failures(result.searches.ended, ""),
                    Failures(result.writes.ended, "write "));
    std::printf("%8.0f %9.1f %9.0f %9.0f %9.0f %9.0f %9.0f %8.1f %9.1f%s\n", rate,
                line["answered_per_s"].get<double>(), Micros(searches.Quantile(0.5)),
                Micros(searches.Quantile(0.99)), Micros(searches.Quantile(0.999)),
                Micros(searches.max()), Micros(result.late_ns.Quantile(0.99)),
                line["server_cpu_us_per_call"].get<double>(),
                line["engine_us_per_search"].get<double>(), rest.c_str());
  }
  std::fflush(stdout);
}

// Runs one rate after another, and prints each.
class Runner {
 public:
  Runner(const Flags& flags, Requests requests, std::vector<Stubs> connections)
      : flags_(flags), requests_(std::move(requests)), connections_(std::move(connections)) {}

  OpenLoopResult RunQuietly(double rate, double seconds) const {
    OpenLoopOptions options = flags_.loop;
    options.calls_per_s = rate;
    options.seconds = seconds;
    return RunOpenLoop(connections_, requests_, options);
  }
  OpenLoopResult Run(double rate) {
    const double before = CpuSecondsOf(flags_.pid);
    OpenLoopResult result = RunQuietly(rate, flags_.loop.seconds);
    const double cpu_s = flags_.pid > 0 ? CpuSecondsOf(flags_.pid) - before : -1;
    Print(flags_, rate, result, cpu_s);
    peak_ = std::max(peak_, static_cast<double>(result.answered()) / result.seconds);
    return result;
  }
  void Sweep() {
    const double knee = FindKnee(flags_.rates.front(), 0.05, [this](double rate) {
      const OpenLoopResult result = Run(rate);
      const double p99_ms = Micros(result.searches.latency_ns.Quantile(0.99)) * 1e-3;
      return static_cast<double>(result.answered()) >= 0.99 * static_cast<double>(result.due) &&
             p99_ms <= flags_.knee_p99_ms;
    });
    if (flags_.json) {
      std::printf(
          "%s\n",
          nlohmann::json({{"knee_per_s", knee}, {"peak_answered_per_s", peak_}}).dump().c_str());
    } else {
      std::printf("knee %.0f calls/s, at most %.0f answers/s\n", knee, peak_);
    }
  }

 private:
  const Flags& flags_;
  const Requests requests_;
  const std::vector<Stubs> connections_;
  double peak_ = 0;
};

absl::Status RunAll(const Flags& flags) {
  MRL_ASSIGN_OR_RETURN(Requests requests, MakeRequests(flags));
  MRL_ASSIGN_OR_RETURN(std::vector<Stubs> connections, Connect(flags));
  Runner runner(flags, std::move(requests), std::move(connections));
  PrintHeading(flags);
  runner.RunQuietly(flags.rates.front(), flags.warmup_s);
  if (flags.sweep) {
    runner.Sweep();
  } else {
    for (const double rate : flags.rates) runner.Run(rate);
  }
  return absl::OkStatus();
}

int Run(int argc, char** argv) {
  CLI::App app(
      "Open-loop load of searches and writes: calls go out when they are due, and their time "
      "counts from then. MRL_API_KEY, where it is set, goes along as the API key.",
      "mrl-load");
  Flags flags;
  Declare(&app, &flags);
  CLI11_PARSE(app, argc, argv);
  if (const char* key = std::getenv("MRL_API_KEY"); key != nullptr) flags.loop.api_key = key;
  if (const absl::Status status = RunAll(flags); !status.ok()) {
    std::fprintf(stderr, "mrl-load: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace mrl::load

int main(int argc, char** argv) { return mrl::load::Run(argc, argv); }
