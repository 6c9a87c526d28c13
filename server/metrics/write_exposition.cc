#include "server/metrics/write_exposition.h"

#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "server/metrics/call_metrics.h"

namespace mrl::server {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

// Bytes of the write-ahead log's files, and of all.
std::pair<uint64_t, uint64_t> LogAndAll(const collection::Collection& collection) {
  uint64_t log = 0, all = 0;
  for (const auto& file : collection.files()) {
    all += file.bytes;
    if (absl::EndsWith(file.name, ".log")) log += file.bytes;
  }
  return {log, all};
}

}  // namespace

void CollectWrites(const Registry& registry, std::vector<MetricFamily>* families) {
  MetricFamily log = Family("mrl_wal_bytes", "Write-ahead log on the disk.", MetricType::Gauge);
  MetricFamily behind =
      Family("mrl_wal_unsynced", "1 while a write waits for the next sync.", MetricType::Gauge);
  MetricFamily disk = Family("mrl_collection_disk_bytes",
                             "All files of a collection that takes writes.", MetricType::Gauge);
  MetricFamily tail = Family("mrl_tail_rows", "Rows that no segment holds yet.", MetricType::Gauge);
  MetricFamily segments =
      Family("mrl_segments", "Segments, the tail's parts counted.", MetricType::Gauge);
  MetricFamily count = Family("mrl_compactions_total", "Seals of the tail and merges of segments.",
                              MetricType::Counter);
  MetricFamily rows = Family("mrl_compaction_rows_total", "Rows that compactions have written.",
                             MetricType::Counter);
  MetricFamily seconds = Family("mrl_compaction_seconds_total", "Time that compactions have taken.",
                                MetricType::Counter);
  MetricFamily running =
      Family("mrl_compactions_running", "Compactions that run.", MetricType::Gauge);
  for (const Registry::Entry& entry : registry.List()) {
    if (entry.live == nullptr || entry.collection == nullptr) continue;
    const std::string& name = entry.path.name;
    const auto add = [&name](double value, MetricFamily* family) {
      AddValue(value, {{"collection", name}}, family);
    };
    const auto [log_bytes, all_bytes] = LogAndAll(*entry.collection);
    const collection::CompactionStats done = entry.live->compactions();
    add(static_cast<double>(log_bytes), &log);
    add(entry.live->needs_sync() ? 1 : 0, &behind);
    add(static_cast<double>(all_bytes), &disk);
    add(static_cast<double>(entry.live->tail_rows()), &tail);
    add(static_cast<double>(entry.collection->view().parts.size()), &segments);
    AddValue(static_cast<double>(done.seals), {{"collection", name}, {"kind", "seal"}}, &count);
    AddValue(static_cast<double>(done.merges), {{"collection", name}, {"kind", "merge"}}, &count);
    add(static_cast<double>(done.rows), &rows);
    add(done.seconds, &seconds);
    add(static_cast<double>(done.running), &running);
  }
  for (MetricFamily* family :
       {&log, &behind, &disk, &tail, &segments, &count, &rows, &seconds, &running}) {
    families->push_back(std::move(*family));
  }
}

}  // namespace mrl::server
