// mrl-index certify: the recall of a funnel on this index, kept with its profile.
#include <cstdio>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "index/cli/command.h"
#include "index/cli/open_index.h"
#include "index/cli/output.h"
#include "index/cli/progress.h"
#include "index/cli/save_profile.h"
#include "index/collection/profiles.h"
#include "index/tune/certificate.h"
#include "index/tune/view_subject.h"

namespace mrl::cli {
namespace {

struct CertifyArgs {
  std::string index, queries;
  AskedPlan asked;
  uint32_t k = 10, threads = 0, hot_dims = 0;
  uint64_t sample = 200, limit = 0, seed = 1;
  double change_max = funnel::Certificate::kChangeMax;
  bool json = false;
};

absl::StatusOr<tune::ViewQueries> QueriesOf(const CertifyArgs& args,
                                            const collection::Collection& collection) {
  if (args.queries.empty()) {
    MRL_ASSIGN_OR_RETURN(tune::ViewQueries queries,
                         tune::SampleQueries(collection.view(), args.sample, args.seed));
    if (queries.rows() > 0) return queries;
    return absl::FailedPreconditionError(
        absl::StrCat(args.index, " has no points to measure with"));
  }
  MRL_ASSIGN_OR_RETURN(Queries read, ReadQueries(args.queries, collection.schema(), 0, args.limit));
  tune::ViewQueries queries;
  queries.dims = read.dims;
  queries.values = std::move(read.values);
  return queries;
}

absl::StatusOr<funnel::Certificate> Measure(const CertifyArgs& args,
                                            const collection::Collection& collection,
                                            const tune::ViewQueries& queries,
                                            const funnel::Plan& plan) {
  const size_t threads = Threads(args.threads);
  const funnel::View& view = collection.view();
  tune::Subject subject = tune::MakeSubject(view, collection.plan_input(), queries, Interrupted);
  const tune::ProgressFn progress = ShowParts();
  MRL_RETURN_IF_ERROR(
      tune::FindTruth(view, queries, args.k, threads, Interrupted, progress, &subject));
  MRL_ASSIGN_OR_RETURN(funnel::Certificate certificate,
                       tune::Certify(subject, tune::LostAt(view, queries, Interrupted), plan,
                                     threads, args.seed, progress));
  certificate.own_points = !queries.own.empty();
  Bind(collection, &certificate);
  certificate.change_max = args.change_max;
  return certificate;
}

nlohmann::json ToJson(const funnel::Certificate& certificate, const funnel::ChosenPlan& chosen) {
  nlohmann::json json = {{"funnel", certificate.funnel},
                         {"k", certificate.k},
                         {"queries", certificate.queries},
                         {"own_points", certificate.own_points},
                         {"recall", certificate.recall},
                         {"interval", {certificate.low, certificate.high}},
                         {"lost", certificate.lost},
                         {"seed", certificate.seed},
                         {"generation", certificate.generation},
                         {"sequence", certificate.sequence},
                         {"rows", certificate.rows},
                         {"max_changed_share", certificate.change_max},
                         {"method", tune::kCertificateMethod}};
  if (chosen.version > 0) {
    json["profile"] = chosen.profile;
    json["profile_version"] = chosen.version;
  }
  return json;
}

void Print(const funnel::Certificate& certificate, const funnel::ChosenPlan& chosen) {
  std::printf("%s: recall@%u %.4f, 95 %% interval %.4f-%.4f, on %u %s\n",
              certificate.funnel.c_str(), certificate.k, certificate.recall, certificate.low,
              certificate.high, certificate.queries,
              certificate.own_points ? "points of the index" : "queries");
  std::printf("lost per stage: %s\n",
              absl::StrJoin(certificate.lost, " ", [](std::string* out, double share) {
                absl::StrAppendFormat(out, "%.4f", share);
              }).c_str());
  if (chosen.version == 0) return;
  std::printf("kept with profile %s version %u until %g %% of the points have changed\n",
              chosen.profile.c_str(), chosen.version, 100 * certificate.change_max);
}

absl::Status Certify(const CertifyArgs& args) {
  CatchInterrupts();
  MRL_ASSIGN_OR_RETURN(const OpenedIndex opened,
                       OpenIndex(args.index, {.hot_dims = args.hot_dims}));
  const collection::Collection& collection = *opened.collection;
  MRL_ASSIGN_OR_RETURN(const tune::ViewQueries queries, QueriesOf(args, collection));
  MRL_ASSIGN_OR_RETURN(const funnel::ChosenPlan chosen, PlanFor(collection, collection.profiles(),
                                                                args.asked, args.k, queries.dims));
  MRL_ASSIGN_OR_RETURN(const funnel::Certificate certificate,
                       Measure(args, collection, queries, chosen.plan));
  if (chosen.version > 0) {
    MRL_RETURN_IF_ERROR(
        collection::EditProfiles(FileSystem::Posix(), args.index, [&](funnel::ProfileSet& set) {
          return set.SetCertificate(chosen.profile, chosen.version, certificate);
        }));
  }
  if (args.json) {
    PrintJson(ToJson(certificate, chosen));
  } else {
    Print(certificate, chosen);
  }
  return absl::OkStatus();
}

constexpr char kExamples[] = R"(Examples:
  mrl-index certify --index INDEX --queries queries.npy
  mrl-index certify --index INDEX --profile text95 --sample 1000 --json
  mrl-index certify --index INDEX --funnel 16:200,64:50,512:10)";

}  // namespace

void AddCertify(CLI::App& app, Verb* verb) {
  auto args = std::make_shared<CertifyArgs>();
  CLI::App* certify = app.add_subcommand(
      "certify", "Measure a funnel's recall with its interval; keep it with the profile");
  certify->footer(kExamples);
  certify->add_option("--index", args->index, "Collection directory")->required();
  AddHotDimsFlag(*certify, &args->hot_dims);
  CLI::Option* profile =
      certify->add_option("--profile", args->asked.profile, "A profile; else the default one");
  certify->add_option("--funnel", args->asked.funnel, "Or this funnel")->excludes(profile);
  CLI::Option* queries = certify->add_option("--queries", args->queries,
                                             "Embedding file of queries; else points of the index");
  certify->add_option("--limit", args->limit, "Use at most so many queries")->needs(queries);
  certify->add_option("--sample", args->sample, "Points to measure with")
      ->check(CLI::Range(1, 1'000'000))
      ->excludes(queries)
      ->capture_default_str();
  certify->add_option("-k", args->k, "Points wanted, 1 to 10000")->capture_default_str();
  certify
      ->add_option("--max-changed", args->change_max,
                   "Share of changed points that ends the certificate, above 0 to 1")
      ->capture_default_str();
  certify->add_option("--threads", args->threads, "Workers; default all cores")
      ->check(CLI::Range(1, 256));
  certify->add_option("--seed", args->seed, "Of the sample and the interval")
      ->capture_default_str();
  certify->add_flag("--json", args->json, "One JSON object");
  certify->callback([args, verb] { *verb = [args] { return Certify(*args); }; });
}

}  // namespace mrl::cli
