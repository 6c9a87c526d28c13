// What every call passes, put together once: state, gate, admission, metrics, log.
#pragma once

#include "absl/time/time.h"
#include "server/admission/admission.h"
#include "server/metrics/call_metrics.h"
#include "server/readiness.h"
#include "server/security/gate.h"

namespace mrl::server {

// All of it outlives the calls and is thread-safe.
struct Desk {
  const Readiness& readiness;
  const Gate& gate;
  Admission& admission;
  CallMetrics& metrics;
  absl::Duration slow_query = absl::InfiniteDuration();  // calls that take longer are logged
};

}  // namespace mrl::server
