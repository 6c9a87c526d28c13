#include "server/metrics/call_metrics.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/rpc/error.h"
#include "server/rpc/reason.h"

namespace mrl::server {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

void AddLatency(const Latency& latency, std::vector<ClientMetric::Label> labels,
                MetricFamily* family) {
  ClientMetric metric;
  metric.label = std::move(labels);
  uint64_t total = 0;
  for (size_t i = 0; i < Latency::kBoundsMicros.size(); ++i) {
    total += latency.count(i);
    metric.histogram.bucket.push_back(
        {total, static_cast<double>(Latency::kBoundsMicros[i]) * 1e-6});
  }
  total += latency.count(Latency::kBoundsMicros.size());
  metric.histogram.bucket.push_back({total, std::numeric_limits<double>::infinity()});
  metric.histogram.sample_count = total;
  metric.histogram.sample_sum = latency.sum_seconds();
  family->metric.push_back(std::move(metric));
}

uint64_t Load(const std::atomic<uint64_t>& counter) {
  return counter.load(std::memory_order_relaxed);
}

void Increment(std::atomic<uint64_t>& counter, uint64_t by = 1) {
  counter.fetch_add(by, std::memory_order_relaxed);
}

}  // namespace

MetricFamily Family(const char* name, const char* help, MetricType type) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  return family;
}

MetricFamily Gauge(const char* name, const char* help) {
  return Family(name, help, MetricType::Gauge);
}

void AddValue(double value, std::vector<ClientMetric::Label> labels, MetricFamily* family) {
  ClientMetric metric;
  metric.label = std::move(labels);
  if (family->type == MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  family->metric.push_back(std::move(metric));
}

CallMetrics::CallMetrics() {
  for (size_t i = 0; i <= Methods().size(); ++i) methods_.push_back(std::make_unique<PerMethod>());
  for (size_t i = 0; i < std::size(kReasons); ++i) {
    refused_.push_back(std::make_unique<std::atomic<uint64_t>>(0));
  }
}

uint64_t CallMetrics::PerMethod::ended_sum() const {
  uint64_t sum = 0;
  for (const auto& count : ended) sum += Load(count);
  return sum;
}

CallMetrics::PerMethod& CallMetrics::Of(const Method* method) {
  return *methods_[method == nullptr ? Methods().size() : method - Methods().data()];
}

void CallMetrics::Started(const Method* method) { Increment(Of(method).started); }

void CallMetrics::Ended(const Method* method, const absl::Status& status, double micros) {
  PerMethod& counted = Of(method);
  counted.latency.Add(micros);
  const size_t code = std::min(static_cast<size_t>(status.raw_code()), kCodes - 1);
  Increment(counted.ended[code]);
  if (status.ok()) return;
  const std::string reason = ReasonOf(status);
  for (size_t i = 0; i < refused_.size(); ++i) {
    if (reason == kReasons[i]) Increment(*refused_[i]);
  }
}

void CallMetrics::Searched(const funnel::Trace& trace) {
  if (trace.stages.empty()) return;
  Increment(rows_scanned_, trace.stages.front().candidates_in);
  for (size_t i = 0; i < trace.stages.size() && i < kStages; ++i) {
    stages_[i].Add(trace.stages[i].micros);
  }
}

void CallMetrics::Collect(std::vector<MetricFamily>* families) const {
  MetricFamily latency =
      Family("mrl_rpc_duration_seconds", "Time from arrival to the status.", MetricType::Histogram);
  MetricFamily ended = Family("mrl_rpc_total", "Calls that ended, by code.", MetricType::Counter);
  MetricFamily running = Family("mrl_rpc_in_flight", "Calls that wait or run.", MetricType::Gauge);
  for (size_t i = 0; i < methods_.size(); ++i) {
    const std::string name = i < Methods().size() ? Methods()[i].name : "unknown";
    const PerMethod& method = *methods_[i];
    AddLatency(method.latency, {{"method", name}}, &latency);
    const uint64_t ended_sum = method.ended_sum();
    AddValue(static_cast<double>(Load(method.started) - ended_sum), {{"method", name}}, &running);
    for (size_t code = 0; code < kCodes; ++code) {
      const uint64_t count = Load(method.ended[code]);
      if (count == 0 && code != 0) continue;
      AddValue(static_cast<double>(count),
               {{"code", absl::StatusCodeToString(static_cast<absl::StatusCode>(code))},
                {"method", name}},
               &ended);
    }
  }
  MetricFamily refused =
      Family("mrl_rpc_refused_total", "Calls refused before their work began, by reason.",
             MetricType::Counter);
  for (size_t i = 0; i < refused_.size(); ++i) {
    AddValue(static_cast<double>(Load(*refused_[i])), {{"reason", kReasons[i]}}, &refused);
  }
  MetricFamily queue = Family("mrl_queue_wait_seconds", "Time that calls waited for a worker.",
                              MetricType::Histogram);
  AddLatency(queue_, {}, &queue);
  MetricFamily stages =
      Family("mrl_funnel_stage_duration_seconds",
             "Time of a funnel's stages; stage 0 is the coarse search.", MetricType::Histogram);
  for (size_t i = 0; i < kStages; ++i) {
    AddLatency(stages_[i], {{"stage", absl::StrCat(i)}}, &stages);
  }
  MetricFamily rows =
      Family("mrl_rows_scanned_total", "Rows that coarse searches looked at.", MetricType::Counter);
  AddValue(static_cast<double>(Load(rows_scanned_)), {}, &rows);
  for (MetricFamily* family : {&latency, &ended, &running, &refused, &queue, &stages, &rows}) {
    families->push_back(std::move(*family));
  }
}

}  // namespace mrl::server
