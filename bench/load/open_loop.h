// An open-loop generator: calls go out when they are due, whether or not earlier ones have come
// back, and their time counts from when they were due. A server that stalls therefore shows its
// stall in every call that it delayed.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "bench/load/histogram.h"
#include "mrl/v1/point.grpc.pb.h"
#include "mrl/v1/search.grpc.pb.h"

namespace mrl::load {

// One connection.
struct Stubs {
  std::unique_ptr<v1::SearchService::Stub> search;
  std::unique_ptr<v1::PointService::Stub> points;
};

// What is sent, in turn.
struct Requests {
  std::vector<v1::SearchRequest> searches;      // not empty
  std::vector<v1::UpsertPointsRequest> writes;  // may be empty where no call writes
};

struct OpenLoopOptions {
  double calls_per_s = 100;
  double seconds = 10;
  double timeout_s = 5;
  double writes = 0;                  // share of calls that write, drawn with the seed
  uint64_t seed = 1;                  // of the gaps between calls, which are exponential
  uint64_t outstanding_max = 20'000;  // beyond it calls are not sent but counted as `unsent`
  std::string api_key;
};

// What became of calls of one kind.
struct Answers {
  Histogram latency_ns;                   // of calls that were answered, from when they were due
  Histogram refused_ns;                   // of all others
  std::map<std::string, uint64_t> ended;  // by code
};

struct OpenLoopResult {
  Answers searches, writes;
  Histogram late_ns;  // how late calls went out: the generator's own error
  uint64_t due = 0, unsent = 0;
  double engine_micros = 0;   // sum over answered searches of what the engine took
  double handler_micros = 0;  // and of the time from their arrival at the handler to the reply
  double seconds = 0;         // from the first call to the end of the last

  uint64_t answered() const { return searches.latency_ns.count() + writes.latency_ns.count(); }
};

// Sends `requests` in turn over `connections` in turn. Blocks until the last call has ended.
OpenLoopResult RunOpenLoop(const std::vector<Stubs>& connections, const Requests& requests,
                           const OpenLoopOptions& options);

// CPU time that a process of this machine has used, in seconds; negative when it cannot be read.
double CpuSecondsOf(int pid);

}  // namespace mrl::load
