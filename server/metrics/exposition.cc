#include "server/metrics/exposition.h"

#include <prometheus/text_serializer.h>

#include <sstream>
#include <vector>

#include "index/kernels/kernels.h"
#include "server/metrics/quality_exposition.h"
#include "server/metrics/write_exposition.h"
#include "server/version.h"

namespace mrl::server {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily One(const char* name, const char* help, double value) {
  MetricFamily family = Gauge(name, help);
  AddValue(value, {}, &family);
  return family;
}

void CollectServer(const Exposed& exposed, std::vector<MetricFamily>* families) {
  MetricFamily build = Gauge("mrl_build_info", "The program; always 1.");
  AddValue(
      1, {{"commit", kCommit}, {"instruction_set", kernels::Active().name}, {"version", kVersion}},
      &build);
  families->push_back(std::move(build));
  MetricFamily state = Gauge("mrl_server_state", "1 for the state that the server is in.");
  for (const char* name : {"starting", "serving", "draining", "closed"}) {
    AddValue(absl::string_view(name) == exposed.readiness.name() ? 1 : 0, {{"state", name}},
             &state);
  }
  families->push_back(std::move(state));
  if (exposed.exporter != nullptr) {
    MetricFamily spans =
        Family("mrl_trace_spans_total", "Spans by what became of them.", MetricType::Counter);
    AddValue(static_cast<double>(exposed.exporter->sent()), {{"result", "sent"}}, &spans);
    AddValue(static_cast<double>(exposed.exporter->dropped()), {{"result", "dropped"}}, &spans);
    families->push_back(std::move(spans));
  }
  families->push_back(One("mrl_workers", "Threads that run searches.", exposed.workers));
  families->push_back(One("mrl_queue_depth", "Calls that wait for a worker.",
                          static_cast<double>(exposed.admission.waiting())));
  families->push_back(One("mrl_queue_limit", "Calls that may wait.",
                          static_cast<double>(exposed.admission.queue_max())));
}

// Of the files as they lie there now.
void CollectCertificates(const Exposed& exposed, std::vector<MetricFamily>* families) {
  if (exposed.tls == nullptr) return;
  families->push_back(One("mrl_tls_reload_failed",
                          "1 where the TLS files are not in order and those before are in use.",
                          exposed.tls->failed() ? 1 : 0));
  MetricFamily expiry =
      Gauge("mrl_tls_certificate_expiry_timestamp_seconds",
            "When the first certificate of a file expires; 0 where the file cannot be read.");
  const TlsFiles& paths = exposed.tls->paths();
  const std::pair<const char*, const std::string&> files[] = {{"tls-cert", paths.cert},
                                                              {"tls-client-ca", paths.client_ca}};
  for (const auto& [key, path] : files) {
    if (path.empty()) continue;
    const auto end = CertificateExpiry(*exposed.files, path);
    AddValue(end.ok() ? static_cast<double>(absl::ToUnixSeconds(*end)) : 0, {{"file", key}},
             &expiry);
  }
  families->push_back(std::move(expiry));
}

// The memory of a collection by part, so that an operator sees what a rebuild could save.
void AddParts(const collection::Collection& collection, const std::string& name,
              MetricFamily* parts) {
  uint64_t levels = 0, norms = 0, ids = 0, indexes = 0, other = 0;
  for (const funnel::View::Part& part : collection.view().parts) {
    const store::Segment::Memory memory = part.segment->memory();
    levels += memory.levels;
    norms += memory.norms;
    ids += memory.ids;
    other += memory.other;
    for (const auto& index : part.indexes) indexes += index->memory_bytes();
  }
  const std::pair<const char*, uint64_t> all[] = {
      {"levels", levels}, {"norms", norms}, {"ids", ids}, {"indexes", indexes}, {"other", other}};
  for (const auto& [part, bytes] : all) {
    AddValue(static_cast<double>(bytes), {{"collection", name}, {"part", part}}, parts);
  }
}

void CollectCollections(const Registry& registry, std::vector<MetricFamily>* families) {
  MetricFamily serving = Gauge(
      "mrl_collection_serving",
      "1 where a collection is served or is opened when it is used, 0 where it did not open.");
  MetricFamily stale = Gauge("mrl_collection_reload_failed",
                             "1 where the last reload failed and the version before is served.");
  MetricFamily generation = Gauge("mrl_collection_generation", "Generation that is served.");
  MetricFamily rows = Gauge("mrl_collection_rows", "Points.");
  MetricFamily parts = Gauge("mrl_collection_memory_bytes", "Memory of a collection, by part.");
  double served = 0, damaged = 0, idle = 0;
  for (const Registry::Entry& entry : registry.List()) {
    const std::string& name = entry.path.name;
    const bool open = entry.collection != nullptr;
    (open ? served : entry.idle ? idle : damaged) += 1;
    AddValue(open || entry.idle ? 1 : 0, {{"collection", name}}, &serving);
    AddValue(open && !entry.last_open.ok() ? 1 : 0, {{"collection", name}}, &stale);
    if (!open) continue;
    AddValue(static_cast<double>(entry.collection->generation()), {{"collection", name}},
             &generation);
    AddValue(static_cast<double>(entry.collection->rows()), {{"collection", name}}, &rows);
    AddParts(*entry.collection, name, &parts);
  }
  families->push_back(One("mrl_collections_served", "Collections that are served.", served));
  families->push_back(
      One("mrl_collections_idle", "Collections that are opened when they are used.", idle));
  families->push_back(One("mrl_collections_damaged", "Collections that did not open.", damaged));
  families->push_back(One("mrl_memory_used_bytes", "Memory that collections hold.",
                          static_cast<double>(registry.account().used_bytes())));
  families->push_back(One("mrl_memory_limit_bytes", "Limit of the same.",
                          static_cast<double>(registry.account().limit_bytes())));
  for (MetricFamily* family : {&serving, &stale, &generation, &rows, &parts}) {
    if (!family->metric.empty()) families->push_back(std::move(*family));
  }
}

}  // namespace

std::string Expose(const Exposed& exposed) {
  std::vector<MetricFamily> families;
  CollectServer(exposed, &families);
  exposed.calls.Collect(&families);
  CollectCollections(exposed.registry, &families);
  CollectWrites(exposed.registry, &families);
  CollectCertificates(exposed, &families);
  if (exposed.shadow != nullptr) {
    CollectQuality(exposed.registry, *exposed.shadow, *exposed.exits, *exposed.keeps, &families);
  }
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, families);
  return text.str();
}

}  // namespace mrl::server
