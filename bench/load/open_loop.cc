#include "bench/load/open_loop.h"

#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"

namespace mrl::load {
namespace {

using Clock = std::chrono::steady_clock;

uint64_t NanosSince(Clock::time_point begin) {
  const auto nanos = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin);
  return static_cast<uint64_t>(std::max<int64_t>(0, nanos.count()));
}

// What the callbacks fill.
struct Tally {
  absl::Mutex mutex;
  OpenLoopResult result ABSL_GUARDED_BY(mutex);
  uint64_t outstanding ABSL_GUARDED_BY(mutex) = 0;
};

struct Pending {
  Clock::time_point due;
  grpc::ClientContext context;
  v1::SearchResponse response;
};

void End(std::unique_ptr<Pending> call, const grpc::Status& status, Tally* tally) {
  const uint64_t nanos = NanosSince(call->due);
  absl::MutexLock lock(&tally->mutex);
  ++tally->result
        .ended[absl::StatusCodeToString(static_cast<absl::StatusCode>(status.error_code()))];
  if (status.ok()) tally->result.latency_ns.Add(nanos);
  --tally->outstanding;
}

void Send(v1::SearchService::Stub* stub, const v1::SearchRequest& request,
          const OpenLoopOptions& options, Clock::time_point due, Tally* tally) {
  auto call = std::make_unique<Pending>();
  call->due = due;
  call->context.set_deadline(
      std::chrono::system_clock::now() +
      std::chrono::microseconds(static_cast<int64_t>(options.timeout_s * 1e6)));
  if (!options.api_key.empty()) {
    call->context.AddMetadata("authorization", absl::StrCat("Bearer ", options.api_key));
  }
  Pending* raw = call.release();
  stub->async()->Search(&raw->context, &request, &raw->response, [raw, tally](grpc::Status status) {
    End(std::unique_ptr<Pending>(raw), status, tally);
  });
}

// False when too many are out.
bool Count(const OpenLoopOptions& options, Clock::time_point due, Tally* tally) {
  absl::MutexLock lock(&tally->mutex);
  ++tally->result.due;
  tally->result.late_ns.Add(NanosSince(due));
  if (tally->outstanding >= options.outstanding_max) {
    ++tally->result.unsent;
    return false;
  }
  ++tally->outstanding;
  return true;
}

}  // namespace

OpenLoopResult RunOpenLoop(const std::vector<std::unique_ptr<v1::SearchService::Stub>>& stubs,
                           const std::vector<v1::SearchRequest>& requests,
                           const OpenLoopOptions& options) {
  Tally tally;
  std::mt19937_64 random(options.seed);
  std::exponential_distribution<double> gap(options.calls_per_s);
  const Clock::time_point begin = Clock::now();
  double due_s = 0;
  for (uint64_t number = 0; due_s < options.seconds; ++number, due_s += gap(random)) {
    const Clock::time_point due =
        begin + std::chrono::nanoseconds(static_cast<int64_t>(due_s * 1e9));
    std::this_thread::sleep_until(due);
    if (!Count(options, due, &tally)) continue;
    Send(stubs[number % stubs.size()].get(), requests[number % requests.size()], options, due,
         &tally);
  }
  absl::MutexLock lock(&tally.mutex);
  const auto all_ended = [&tally]() ABSL_SHARED_LOCKS_REQUIRED(tally.mutex) {
    return tally.outstanding == 0;
  };
  tally.mutex.Await(absl::Condition(&all_ended));
  tally.result.seconds = static_cast<double>(NanosSince(begin)) * 1e-9;
  return std::move(tally.result);
}

double CpuSecondsOf(int pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::string text;
  if (!std::getline(file, text)) return -1;
  // The name may hold spaces; it ends with the last parenthesis. utime and stime are 12 and 13
  // fields on.
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

}  // namespace mrl::load
