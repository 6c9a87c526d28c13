#include "server/metrics/quality_exposition.h"

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "index/funnel/profile.h"
#include "server/metrics/call_metrics.h"

namespace mrl::server {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<prometheus::ClientMetric::Label>;

void MoveFilled(std::initializer_list<MetricFamily*> filled, std::vector<MetricFamily>* families) {
  for (MetricFamily* family : filled) {
    if (!family->metric.empty()) families->push_back(std::move(*family));
  }
}

// What was promised to be kept, and what was found to be.
void AddKept(const Shortcuts::Figures& figures, const Labels& labels, MetricFamily* recall,
             MetricFamily* checked, MetricFamily* realised) {
  AddValue(figures.kept / static_cast<double>(figures.searches), labels, recall);
  AddValue(static_cast<double>(figures.checked), labels, checked);
  if (figures.checked == 0) return;
  AddValue(figures.really_kept / static_cast<double>(figures.checked), labels, realised);
}

// What the served versions of profiles are certified for.
void CollectRecallCertificates(const Registry& registry, std::vector<MetricFamily>* families) {
  MetricFamily recall = Gauge("mrl_certificate_recall",
                              "Certified recall of a profile: its mean, and its 95 % interval.");
  MetricFamily age = Gauge("mrl_certificate_age_seconds", "Time since it was measured.");
  MetricFamily changed =
      Gauge("mrl_certificate_changed_share", "Writes since it was measured, by the rows of then.");
  MetricFamily expired =
      Gauge("mrl_certificate_expired", "1 where too much has changed since it was measured.");
  const auto now = static_cast<double>(absl::ToUnixSeconds(absl::Now()));
  for (const Registry::Entry& entry : registry.List()) {
    if (entry.collection == nullptr) continue;
    const uint64_t sequence = entry.collection->sequence();
    for (const funnel::Profile& profile : entry.collection->profiles().profiles) {
      const auto& certificate = profile.served().certificate;
      if (!certificate.has_value()) continue;
      const Labels labels = {{"collection", entry.path.name},
                             {"profile", profile.name},
                             {"version", std::to_string(profile.serving)}};
      const std::pair<const char*, double> bounds[] = {
          {"low", certificate->low}, {"mean", certificate->recall}, {"high", certificate->high}};
      for (const auto& [bound, value] : bounds) {
        Labels all = labels;
        all.push_back({"bound", bound});
        AddValue(value, std::move(all), &recall);
      }
      AddValue(now - static_cast<double>(certificate->created_unix_s), labels, &age);
      AddValue(certificate->ChangedShare(sequence), labels, &changed);
      AddValue(certificate->Expired(sequence) ? 1 : 0, labels, &expired);
    }
  }
  MoveFilled({&recall, &age, &changed, &expired}, families);
}

// Recall of what was answered and of the shadow, on the searches that both ran.
void CollectShadow(const Shadow& shadow, std::vector<MetricFamily>* families) {
  MetricFamily searches =
      Family("mrl_shadow_searches_total",
             "Searches taken for a shadow profile, by what became of them.", MetricType::Counter);
  MetricFamily recall = Gauge("mrl_shadow_recall",
                              "Mean recall against exact search, of the answer and of the shadow.");
  MetricFamily difference =
      Gauge("mrl_shadow_recall_difference", "Recall of the shadow less that of the answer.");
  for (const auto& [key, figures] : shadow.figures()) {
    const auto& [collection, profile, version] = key;
    const Labels labels = {
        {"collection", collection}, {"profile", profile}, {"version", std::to_string(version)}};
    const auto add = [&](const char* name, const char* value, double number, MetricFamily* family) {
      Labels all = labels;
      if (name != nullptr) all.push_back({name, value});
      AddValue(number, std::move(all), family);
    };
    add("result", "compared", static_cast<double>(figures.compared), &searches);
    add("result", "dropped", static_cast<double>(figures.dropped), &searches);
    if (figures.compared == 0) continue;
    const auto count = static_cast<double>(figures.compared);
    add("which", "answer", figures.served_recall / count, &recall);
    add("which", "shadow", figures.shadow_recall / count, &recall);
    add(nullptr, "", (figures.shadow_recall - figures.served_recall) / count, &difference);
  }
  MoveFilled({&searches, &recall, &difference}, families);
}

// How often searches left stages out, and what their rules say that they kept.
void CollectExits(const Exits& exits, std::vector<MetricFamily>* families) {
  MetricFamily searches =
      Family("mrl_early_exit_searches_total",
             "Searches with early_exit, by stages before the last that ran; `all` left none out.",
             MetricType::Counter);
  MetricFamily recall = Gauge("mrl_early_exit_recall",
                              "Mean share of the whole funnel's result that such exits kept when "
                              "they were learned.");
  MetricFamily checked =
      Family("mrl_early_exit_checked_total",
             "Searches that left stages out and were run whole too, behind their "
             "answers.",
             MetricType::Counter);
  MetricFamily realised = Gauge("mrl_early_exit_realised_recall",
                                "Mean share of the whole funnel's result that those answers had.");
  for (const auto& [key, figures] : exits.figures()) {
    const auto& [collection, stages] = key;
    const Labels labels = {{"collection", collection},
                           {"stages", stages == 0 ? "all" : absl::StrCat(stages)}};
    AddValue(static_cast<double>(figures.searches), labels, &searches);
    if (stages == 0) continue;
    AddKept(figures, labels, &recall, &checked, &realised);
  }
  MoveFilled({&searches, &recall, &checked, &realised}, families);
}

// How much searches left out by learned slacks, and what those say that they kept.
void CollectKeeps(const Keeps& keeps, std::vector<MetricFamily>* families) {
  MetricFamily searches = Family("mrl_adaptive_keep_searches_total", "Searches with adaptive_keep.",
                                 MetricType::Counter);
  MetricFamily left_out = Family("mrl_adaptive_keep_left_out_total",
                                 "Candidates that they left out, of those within the stages' keep.",
                                 MetricType::Counter);
  MetricFamily recall = Gauge("mrl_adaptive_keep_recall",
                              "Mean share of the plain funnel's result that their slacks kept when "
                              "they were learned.");
  MetricFamily checked =
      Family("mrl_adaptive_keep_checked_total",
             "Those that were run without slacks too, behind their answers.", MetricType::Counter);
  MetricFamily realised = Gauge("mrl_adaptive_keep_realised_recall",
                                "Mean share of the plain funnel's result that those answers had.");
  for (const auto& [key, figures] : keeps.figures()) {
    const Labels labels = {{"collection", key.first}};
    AddValue(static_cast<double>(figures.searches), labels, &searches);
    AddValue(static_cast<double>(figures.left_out), labels, &left_out);
    AddKept(figures, labels, &recall, &checked, &realised);
  }
  MoveFilled({&searches, &left_out, &recall, &checked, &realised}, families);
}

}  // namespace

void CollectQuality(const Registry& registry, const Shadow& shadow, const Exits& exits,
                    const Keeps& keeps, std::vector<MetricFamily>* families) {
  CollectRecallCertificates(registry, families);
  CollectShadow(shadow, families);
  CollectExits(exits, families);
  CollectKeeps(keeps, families);
}

}  // namespace mrl::server
