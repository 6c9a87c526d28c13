// mrl certify, mrl tune, mrl report: how good a funnel is, which is the cheapest that is good
// enough, and what prefixes are worth.
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"
#include "base/status.h"
#include "client/cli/command.h"
#include "client/cli/output.h"

namespace mrl::cli {
namespace {

// Progress on a terminal.
client::Client::Progress ShowProgress() {
  if (isatty(STDERR_FILENO) == 0) return {};
  return [](uint64_t done, uint64_t total) {
    std::fprintf(stderr, "\r%llu of %llu\033[K", static_cast<unsigned long long>(done),
                 static_cast<unsigned long long>(total));
  };
}

void AddQueryFlags(CLI::App* verb, client::JobQueries* queries) {
  verb->add_option("--sample", queries->sample, "Points of the collection that are the queries")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  verb->add_option("--seed", queries->seed, "Of the sample and all that is drawn")
      ->capture_default_str();
}

struct CertifyFlags {
  std::string collection;
  client::CertifyOptions options;
};

void EndProgress() {
  if (isatty(STDERR_FILENO) != 0) std::fputs("\r\033[K", stderr);
}

absl::Status Certify(client::Client& client, const Globals& globals, const CertifyFlags& flags) {
  MRL_ASSIGN_OR_RETURN(const client::Certificate certificate,
                       client.MeasureRecall(flags.collection, flags.options, ShowProgress()));
  EndProgress();
  if (globals.json) {
    PrintJson({{"funnel", certificate.funnel},
               {"k", certificate.k},
               {"queries", certificate.queries},
               {"own_points", certificate.own_points},
               {"recall", certificate.recall},
               {"interval", {certificate.low, certificate.high}},
               {"lost", certificate.lost},
               {"sequence", certificate.sequence},
               {"rows", certificate.rows},
               {"filter", certificate.filter},
               {"profile", certificate.profile},
               {"profile_version", certificate.profile_version}});
    return absl::OkStatus();
  }
  std::printf("%s: recall@%u %.4f, 95 %% interval %.4f-%.4f, on %u queries%s%s\n",
              certificate.funnel.c_str(), certificate.k, certificate.recall, certificate.low,
              certificate.high, certificate.queries, certificate.filter.empty() ? "" : ", among ",
              certificate.filter.c_str());
  if (!certificate.profile.empty()) {
    std::printf("kept with profile %s version %u\n", certificate.profile.c_str(),
                certificate.profile_version);
  }
  return absl::OkStatus();
}

struct TuneFlags {
  std::string collection;
  client::TuneOptions options;
};

nlohmann::json ToJson(const client::MeasuredFunnel& measured) {
  return {{"funnel", measured.funnel},
          {"recall", measured.recall},
          {"interval", {measured.low, measured.high}},
          {"mean_ms", measured.mean_ms},
          {"p50_ms", measured.p50_ms},
          {"p99_ms", measured.p99_ms},
          {"mean_bytes", measured.mean_bytes}};
}

std::vector<std::string> TableRow(const char* what, const client::MeasuredFunnel& measured) {
  return {what,
          measured.funnel,
          absl::StrFormat("%.4f", measured.recall),
          absl::StrFormat("%.4f-%.4f", measured.low, measured.high),
          absl::StrFormat("%.3f", measured.mean_ms),
          absl::StrFormat("%.3f", measured.p99_ms),
          absl::StrFormat("%.0f", measured.mean_bytes)};
}

absl::Status Tune(client::Client& client, const Globals& globals, const TuneFlags& flags) {
  MRL_ASSIGN_OR_RETURN(const client::Tuned tuned,
                       client.TuneFunnel(flags.collection, flags.options, ShowProgress()));
  EndProgress();
  if (globals.json) {
    nlohmann::json json = ToJson(tuned.held_out);
    json["reached"] = tuned.reached;
    json["tried"] = tuned.tried;
    json["tuning"] = ToJson(tuned.tuning);
    json["front"] = nlohmann::json::array();
    for (const client::MeasuredFunnel& point : tuned.front) json["front"].push_back(ToJson(point));
    json["profile"] = tuned.profile;
    json["profile_version"] = tuned.profile_version;
    PrintJson(json);
    return absl::OkStatus();
  }
  std::vector<std::vector<std::string>> table = {
      {"", "funnel", "recall", "95 %", "mean ms", "p99 ms", "bytes"}};
  for (const client::MeasuredFunnel& point : tuned.front) table.push_back(TableRow("front", point));
  table.push_back(TableRow("chosen", tuned.tuning));
  table.push_back(TableRow("held out", tuned.held_out));
  PrintTable(table);
  if (!tuned.reached) std::puts("No funnel reaches the target here; this one comes nearest.");
  if (!tuned.profile.empty()) {
    std::printf("saved as profile %s version %u\n", tuned.profile.c_str(), tuned.profile_version);
  }
  return absl::OkStatus();
}

struct ReportFlags {
  std::string collection;
  client::AnalyzeOptions options;
};

nlohmann::json ToJson(const client::DimensionReport& report) {
  nlohmann::json prefixes = nlohmann::json::array();
  for (const client::PrefixQuality& prefix : report.prefixes) {
    prefixes.push_back({{"dims", prefix.dims},
                        {"recall", prefix.recall},
                        {"interval", {prefix.low, prefix.high}},
                        {"overlap", prefix.overlap},
                        {"kendall", prefix.kendall},
                        {"shortlist", prefix.shortlist},
                        {"control", prefix.control},
                        {"energy", prefix.energy},
                        {"bytes", prefix.bytes},
                        {"norm_mean", prefix.norm_mean},
                        {"norm_deviation", prefix.norm_deviation},
                        {"scan_ns_per_row", prefix.scan_ns_per_row},
                        {"search_ms", prefix.search_ms}});
  }
  return {{"verdict", report.verdict},       {"advice", report.advice}, {"gain", report.gain},
          {"gain_limit", report.gain_limit}, {"k", report.k},           {"rows", report.rows},
          {"queries", report.queries},       {"keeps", report.keeps},   {"prefixes", prefixes}};
}

absl::Status Report(client::Client& client, const Globals& globals, const ReportFlags& flags) {
  MRL_ASSIGN_OR_RETURN(const client::DimensionReport report,
                       client.AnalyzeDimensions(flags.collection, flags.options, ShowProgress()));
  EndProgress();
  if (globals.json) {
    PrintJson(ToJson(report));
    return absl::OkStatus();
  }
  std::vector<std::vector<std::string>> table = {
      {"dims", "recall", "95 %", "overlap", "tau", "energy", "bytes", "scan ns/row", "search ms"}};
  for (const client::PrefixQuality& prefix : report.prefixes) {
    table.push_back({absl::StrFormat("%d", prefix.dims), absl::StrFormat("%.4f", prefix.recall),
                     absl::StrFormat("%.4f-%.4f", prefix.low, prefix.high),
                     absl::StrFormat("%.4f", prefix.overlap),
                     absl::StrFormat("%.4f", prefix.kendall),
                     absl::StrFormat("%.4f", prefix.energy), absl::StrFormat("%d", prefix.bytes),
                     absl::StrFormat("%.1f", prefix.scan_ns_per_row),
                     absl::StrFormat("%.3f", prefix.search_ms)});
  }
  PrintTable(table);
  std::printf("verdict: %s\n", report.verdict.c_str());
  for (const std::string& advice : report.advice) std::puts(advice.c_str());
  return absl::OkStatus();
}

}  // namespace

void AddReport(CLI::App& app, Verb* verb) {
  CLI::App* report =
      app.add_subcommand("report", "Find out how good each prefix of the vectors is");
  const auto flags = std::make_shared<ReportFlags>();
  client::AnalyzeOptions& options = flags->options;
  report->add_option("collection", flags->collection, "Name of the collection")->required();
  report->add_option("-k,--k", options.k, "Neighbours that count as true")->capture_default_str();
  report->add_option("--points", options.sample, "Points of the collection to compare with")
      ->check(CLI::Range(3, 100'000))
      ->capture_default_str();
  AddQueryFlags(report, &options.queries);
  RunWith(*report, flags, Report, verb);
}

void AddCertify(CLI::App& app, Verb* verb) {
  CLI::App* certify =
      app.add_subcommand("certify", "Measure a funnel's recall; keep it with the profile");
  const auto flags = std::make_shared<CertifyFlags>();
  certify->add_option("collection", flags->collection, "Name of the collection")->required();
  CLI::Option* profile = certify->add_option("--profile", flags->options.profile,
                                             "A profile; else what a search gets");
  certify->add_option("--funnel", flags->options.funnel, "Or this funnel")->excludes(profile);
  certify->add_option("-k,--k", flags->options.k, "Points wanted, 1 to 10000")
      ->capture_default_str();
  certify
      ->add_option("--max-changed", flags->options.max_changed_share,
                   "Share of changed points that ends the certificate, above 0 to 1")
      ->capture_default_str();
  certify->add_option("--filter", flags->options.filter,
                      "Measure searches with this filter; no profile keeps it");
  AddQueryFlags(certify, &flags->options.queries);
  RunWith(*certify, flags, Certify, verb);
}

void AddTune(CLI::App& app, Verb* verb) {
  CLI::App* tune = app.add_subcommand("tune", "Find the cheapest funnel that reaches a recall");
  const auto flags = std::make_shared<TuneFlags>();
  tune->add_option("collection", flags->collection, "Name of the collection")->required();
  CLI::Option* recall =
      tune->add_option("--target-recall", flags->options.recall, "Above 0, at most 1")
          ->capture_default_str();
  CLI::Option* p99 = tune->add_option("--target-p99-ms", flags->options.p99_ms,
                                      "Instead: the best recall with this 99th percentile")
                         ->check(CLI::PositiveNumber)
                         ->excludes(recall);
  tune->add_option("--target-bytes", flags->options.bytes,
                   "Instead: the best recall that reads at most so many bytes a query")
      ->check(CLI::PositiveNumber)
      ->excludes(recall)
      ->excludes(p99);
  tune->add_option("-k,--k", flags->options.k, "Points wanted, 1 to 10000")->capture_default_str();
  AddQueryFlags(tune, &flags->options.queries);
  CLI::Option* save =
      tune->add_option("--save", flags->options.save_as, "Save what reached it as this profile");
  tune->add_flag("--default", flags->options.make_default, "Make the profile the default")
      ->needs(save);
  RunWith(*tune, flags, Tune, verb);
}

}  // namespace mrl::cli
