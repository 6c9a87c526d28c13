// What is counted about calls, filled by the one call wrapper.
#pragma once

#include <prometheus/metric_family.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "index/funnel/run.h"
#include "server/metrics/latency.h"
#include "server/rpc/methods.h"

namespace mrl::server {

// Thread-safe; no call takes a lock.
class CallMetrics {
 public:
  CallMetrics();

  // `method` is null for one that is not in the table; it counts as `unknown`.
  void Started(const Method* method);
  // `reason` as by ReasonOf: empty unless the call was refused before its handler ran.
  void Ended(const Method* method, const absl::Status& status, double micros);
  void LeftQueue(double micros) { queue_.Add(micros); }
  void Searched(const funnel::Trace& trace);

  // Adds the families, in the Prometheus model.
  void Collect(std::vector<prometheus::MetricFamily>* families) const;

 private:
  static constexpr size_t kCodes = 17;
  static constexpr size_t kStages = funnel::Limits::kStagesMax;
  struct PerMethod {
    Latency latency;
    std::array<std::atomic<uint64_t>, kCodes> ended{};
    std::atomic<uint64_t> started{0};
    uint64_t ended_sum() const;
  };
  PerMethod& Of(const Method* method);

  std::vector<std::unique_ptr<PerMethod>> methods_;  // as in Methods(), then `unknown`
  Latency queue_;
  std::array<Latency, kStages> stages_;
  std::atomic<uint64_t> rows_scanned_{0};
  std::vector<std::unique_ptr<std::atomic<uint64_t>>> refused_;  // as in kReasons
};

// One family without metrics.
prometheus::MetricFamily Family(const char* name, const char* help, prometheus::MetricType type);
prometheus::MetricFamily Gauge(const char* name, const char* help);
// Adds a value, with labels, to a family of counters or gauges.
void AddValue(double value, std::vector<prometheus::ClientMetric::Label> labels,
              prometheus::MetricFamily* family);

}  // namespace mrl::server
