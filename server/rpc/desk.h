// What every call passes, put together once: state, gate, admission, metrics, log, traces.
#pragma once

#include "absl/time/time.h"
#include "server/admission/admission.h"
#include "server/metrics/call_metrics.h"
#include "server/quotas.h"
#include "server/readiness.h"
#include "server/rpc/refusal_log.h"
#include "server/security/gate.h"
#include "server/trace/exporter.h"

namespace mrl::server {

// All of it outlives the calls and is thread-safe.
struct Desk {
  const Readiness& readiness;
  const Gate& gate;
  const Quotas& quotas;
  Admission& admission;
  CallMetrics& metrics;
  RefusalLog& refusals;
  Exporter* exporter = nullptr;                          // null = no traces
  double trace_ratio = 0;                                // of calls whose caller does not say
  absl::Duration slow_query = absl::InfiniteDuration();  // calls that take longer are logged
  absl::Duration read_stall = absl::Seconds(30);         // a reader may take nothing for this long
};

}  // namespace mrl::server
