// Everything that /metrics shows, as text in the Prometheus format.
#pragma once

#include <string>

#include "server/admission/admission.h"
#include "server/metrics/call_metrics.h"
#include "server/readiness.h"
#include "server/registry.h"
#include "server/security/tls.h"
#include "server/service/exits.h"
#include "server/service/keeps.h"
#include "server/service/shadow.h"
#include "server/trace/exporter.h"

namespace mrl::server {

// All of it outlives the caller's use.
struct Exposed {
  const CallMetrics& calls;
  const Registry& registry;
  const Admission& admission;
  const Readiness& readiness;
  const Exporter* exporter = nullptr;  // null = no traces
  int workers = 0;
  FileSystem* files = nullptr;     // that the certificates are read by
  TlsKeeper* tls = nullptr;        // null = no TLS
  const Shadow* shadow = nullptr;  // with `exits` and `keeps`; null = no searches
  const Exits* exits = nullptr;
  const Keeps* keeps = nullptr;
};

std::string Expose(const Exposed& exposed);

}  // namespace mrl::server
