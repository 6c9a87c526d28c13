#include "bench/load/open_loop.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
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

template <typename Response>
struct Pending {
  Clock::time_point due;
  grpc::ClientContext context;
  Response response;
};

// Counts a call that has ended; the lock is held.
template <typename Response>
void Count(const Pending<Response>& call, const grpc::Status& status, Answers* answers) {
  const uint64_t nanos = NanosSince(call.due);
  ++answers->ended[absl::StatusCodeToString(static_cast<absl::StatusCode>(status.error_code()))];
  (status.ok() ? answers->latency_ns : answers->refused_ns).Add(nanos);
}

template <typename Response>
Pending<Response>* Prepare(const OpenLoopOptions& options, Clock::time_point due) {
  auto* call = new Pending<Response>;
  call->due = due;
  call->context.set_deadline(
      std::chrono::system_clock::now() +
      std::chrono::microseconds(static_cast<int64_t>(options.timeout_s * 1e6)));
  if (!options.api_key.empty()) {
    call->context.AddMetadata("authorization", absl::StrCat("Bearer ", options.api_key));
  }
  return call;
}

void Search(v1::SearchService::Stub* stub, const v1::SearchRequest& request,
            const OpenLoopOptions& options, Clock::time_point due, Tally* tally) {
  auto* call = Prepare<v1::SearchResponse>(options, due);
  stub->async()->Search(&call->context, &request, &call->response,
                        [call, tally](const grpc::Status& status) {
                          const std::unique_ptr<Pending<v1::SearchResponse>> owned(call);
                          absl::MutexLock lock(&tally->mutex);
                          Count(*call, status, &tally->result.searches);
                          const v1::SearchStats& stats = call->response.stats();
                          tally->result.engine_micros += stats.engine_micros();
                          tally->result.handler_micros += stats.total_micros();
                          --tally->outstanding;
                        });
}

void Write(v1::PointService::Stub* stub, const v1::UpsertPointsRequest& request,
           const OpenLoopOptions& options, Clock::time_point due, Tally* tally) {
  auto* call = Prepare<v1::UpsertPointsResponse>(options, due);
  stub->async()->UpsertPoints(
      &call->context, &request, &call->response, [call, tally](const grpc::Status& status) {
        const std::unique_ptr<Pending<v1::UpsertPointsResponse>> owned(call);
        absl::MutexLock lock(&tally->mutex);
        Count(*call, status, &tally->result.writes);
        --tally->outstanding;
      });
}

// False when too many are out.
bool Begin(const OpenLoopOptions& options, Clock::time_point due, Tally* tally) {
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

OpenLoopResult RunOpenLoop(const std::vector<Stubs>& connections, const Requests& requests,
                           const OpenLoopOptions& options) {
  Tally tally;
  std::mt19937_64 random(options.seed);
  std::exponential_distribution<double> gap(options.calls_per_s);
  std::bernoulli_distribution writes(options.writes);
  const Clock::time_point begin = Clock::now();
  double due_s = 0;
  for (uint64_t number = 0; due_s < options.seconds; ++number, due_s += gap(random)) {
    const Clock::time_point due =
        begin + std::chrono::nanoseconds(static_cast<int64_t>(due_s * 1e9));
    std::this_thread::sleep_until(due);
    const bool write = writes(random);
    if (!Begin(options, due, &tally)) continue;
    const Stubs& stubs = connections[number % connections.size()];
    if (write) {
      Write(stubs.points.get(), requests.writes[number % requests.writes.size()], options, due,
            &tally);
    } else {
      Search(stubs.search.get(), requests.searches[number % requests.searches.size()], options, due,
             &tally);
    }
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
  // Of each thread, in nanoseconds: the ticks of /proc/PID/stat are 10 ms.
  std::error_code failed;
  double nanos = 0;
  for (const auto& thread :
       std::filesystem::directory_iterator(absl::StrCat("/proc/", pid, "/task"), failed)) {
    std::ifstream file(thread.path() / "schedstat");
    double ran = 0;
    if (file >> ran) nanos += ran;
  }
  return failed ? -1 : nanos * 1e-9;
}

}  // namespace mrl::load
