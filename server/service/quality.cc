#include "server/service/quality.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "index/funnel/filtered.h"
#include "index/tune/certificate.h"
#include "index/tune/dimension_report.h"
#include "index/tune/measure.h"
#include "index/tune/tuner.h"
#include "index/tune/view_subject.h"
#include "server/limits.h"
#include "server/rpc/error.h"
#include "server/service/convert.h"

namespace mrl::server {
namespace {

using collection::Collection;

constexpr uint32_t kSampleDefault = 200;
constexpr uint32_t kDocumentsDefault = 10'000;
constexpr uint32_t kDocumentsMax = 100'000;
constexpr uint32_t kDocumentsMin = 3;

// Half of the cores: searches go on.
size_t Threads() { return std::max(1U, std::thread::hardware_concurrency() / 2); }

uint64_t SeedOf(const v1::JobQueries& queries) { return queries.has_seed() ? queries.seed() : 1; }

// How many dimensions the queries of the matrix have.
absl::StatusOr<size_t> CheckMatrix(const std::string& name, const Collection& collection,
                                   const v1::JobQueries& in) {
  if (in.rows() == 0 || in.rows() > Limits::kJobQueries) {
    return InvalidField("queries.rows", absl::StrCat("rows is ", in.rows(), "; 1 to ",
                                                     Limits::kJobQueries, " are accepted"));
  }
  if (in.vectors().data().size() > Limits::kJobQueryBytes) {
    return InvalidField("queries.vectors",
                        absl::StrCat("vectors has ", in.vectors().data().size(),
                                     " bytes; the limit is ", Limits::kJobQueryBytes));
  }
  MRL_ASSIGN_OR_RETURN(const size_t elements, CountElements(in.vectors(), "queries.vectors"));
  if (elements % in.rows() != 0) {
    return InvalidField("queries.vectors",
                        absl::StrCat("vectors has ", elements, " elements, which ", in.rows(),
                                     " rows do not divide"));
  }
  const size_t dims = elements / in.rows();
  MRL_RETURN_IF_ERROR(CheckQueryDims(name, collection.schema(), dims, "queries.vectors"));
  return dims;
}

absl::StatusOr<tune::ViewQueries> ReadMatrix(const std::string& name, const Collection& collection,
                                             const v1::JobQueries& in) {
  MRL_ASSIGN_OR_RETURN(const size_t dims, CheckMatrix(name, collection, in));
  tune::ViewQueries queries;
  queries.dims = static_cast<uint32_t>(dims);
  queries.values = Elements(in.vectors(), 0, dims * in.rows());
  return queries;
}

bool HasMatrix(const v1::JobQueries& in) { return in.rows() != 0 || !in.vectors().data().empty(); }

absl::Status CheckQueries(const std::string& name, const Collection& collection,
                          const v1::JobQueries& in) {
  if (HasMatrix(in)) return CheckMatrix(name, collection, in).status();
  if (in.sample() > Limits::kJobQueries) {
    return InvalidField("queries.sample", absl::StrCat("sample is ", in.sample(), "; 0 to ",
                                                       Limits::kJobQueries, " are accepted"));
  }
  if (collection.rows() > 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("collection '", name, "' has no points to measure with"));
}

absl::StatusOr<tune::ViewQueries> ReadQueries(const std::string& name, const Collection& collection,
                                              const v1::JobQueries& in) {
  if (HasMatrix(in)) return ReadMatrix(name, collection, in);
  MRL_RETURN_IF_ERROR(CheckQueries(name, collection, in));
  return tune::SampleQueries(collection.view(), in.sample() == 0 ? kSampleDefault : in.sample(),
                             SeedOf(in));
}

tune::ProgressFn Progress(Operations::Control& control) {
  return
      [&control](absl::string_view, uint64_t done, uint64_t total) { control.Report(done, total); };
}

tune::StoppedFn Stopped(Operations::Control& control) {
  return [&control] { return control.stopped(); };
}

// The message that an operation's request is.
template <typename Request>
absl::StatusOr<Request> RequestOf(const Operation& operation) {
  Request request;
  if (!request.ParseFromString(operation.request)) {
    return absl::InternalError("the request of the operation cannot be read");
  }
  request.set_collection(operation.collection);
  return request;
}

std::string Packed(const google::protobuf::Message& message) {
  google::protobuf::Any any;
  any.PackFrom(message);
  return any.SerializeAsString();
}

// A collection with queries whose truth is known, for as long as an operation runs.
struct Measurable {
  std::shared_ptr<const Collection> collection;
  std::optional<funnel::View> narrowed;  // with a filter
  tune::ViewQueries queries;
  tune::Subject subject;

  const funnel::View& view() const { return narrowed ? *narrowed : collection->view(); }
};

// What of the collection matches; all of it for an empty text.
absl::StatusOr<std::optional<funnel::View>> Narrow(const Collection& collection,
                                                   const std::string& filter) {
  if (filter.empty()) return std::optional<funnel::View>();
  MRL_ASSIGN_OR_RETURN(const filter::Filter read, ReadFilter(filter, collection.schema()));
  std::optional<funnel::View> narrowed = funnel::Narrow(collection.view(), read);
  if (narrowed->rows() > 0) return narrowed;
  return absl::FailedPreconditionError(
      absl::StrCat("no point matches the filter '", filter, "': there is nothing to measure"));
}

absl::StatusOr<std::unique_ptr<Measurable>> Prepare(const Registry& registry,
                                                    Operations::Control& control,
                                                    const std::string& name,
                                                    const v1::JobQueries& queries, uint32_t k,
                                                    const std::string& filter = "") {
  auto out = std::make_unique<Measurable>();
  MRL_ASSIGN_OR_RETURN(out->collection, registry.Find(name));
  MRL_ASSIGN_OR_RETURN(out->queries, ReadQueries(name, *out->collection, queries));
  MRL_ASSIGN_OR_RETURN(out->narrowed, Narrow(*out->collection, filter));
  const tune::StoppedFn stopped = Stopped(control);
  const funnel::View& view = out->view();
  out->subject = tune::MakeSubject(view, out->collection->plan_input(), out->queries, stopped);
  MRL_RETURN_IF_ERROR(
      tune::FindTruth(view, out->queries, k, Threads(), stopped, Progress(control), &out->subject));
  return out;
}

uint32_t KOf(uint32_t k) { return k == 0 ? 10 : k; }

absl::StatusOr<funnel::ChosenPlan> PlanToMeasure(const Collection& collection,
                                                 const v1::MeasureRecallRequest& request) {
  v1::SearchOptions options;
  options.set_k(KOf(request.k()));
  if (request.has_funnel_text()) options.set_funnel_text(request.funnel_text());
  if (request.has_profile()) options.set_profile(request.profile());
  uint32_t dims = collection.schema().dim;
  if (request.queries().rows() > 0) {
    MRL_ASSIGN_OR_RETURN(const size_t elements,
                         CountElements(request.queries().vectors(), "queries.vectors"));
    dims = static_cast<uint32_t>(elements / request.queries().rows());
  }
  return MakePlan(collection, options, dims);
}

// Keeps a profile's certificate.
absl::Status Keep(Registry& registry, const std::string& collection,
                  const funnel::ChosenPlan& chosen, const funnel::Certificate& certificate,
                  v1::MeasureRecallResponse* out) {
  if (chosen.version == 0) return absl::OkStatus();
  MRL_RETURN_IF_ERROR(registry.EditProfiles(collection, [&](funnel::ProfileSet& set) {
    return set.SetCertificate(chosen.profile, chosen.version, certificate);
  }));
  out->set_profile(chosen.profile);
  out->set_profile_version(chosen.version);
  return absl::OkStatus();
}

v1::MeasuredFunnel ToProto(const tune::Measured& measured) {
  v1::MeasuredFunnel out;
  out.set_funnel_text(measured.plan.ToText());
  out.set_recall(measured.recall);
  out.set_low(measured.interval.low);
  out.set_high(measured.interval.high);
  out.set_mean_ms(measured.times.mean_ms);
  out.set_p50_ms(measured.times.p50_ms);
  out.set_p99_ms(measured.times.p99_ms);
  out.set_mean_bytes(measured.mean_bytes);
  return out;
}

tune::TuneOptions OptionsOf(const v1::TuneFunnelRequest& request) {
  tune::TuneOptions options;
  options.k = KOf(request.k());
  options.threads = Threads();
  options.seed = SeedOf(request.queries());
  if (request.has_recall()) options.target_recall = request.recall();
  if (request.has_p99_ms()) options.target_p99_ms = request.p99_ms();
  if (request.has_bytes()) options.target_bytes = request.bytes();
  return options;
}

absl::Status CheckTarget(const v1::TuneFunnelRequest& request) {
  if (request.has_p99_ms() && !(request.p99_ms() > 0)) {
    return InvalidField("p99_ms", absl::StrCat("p99_ms is ", request.p99_ms(), "; it is above 0"));
  }
  if (request.has_bytes() && !(request.bytes() > 0)) {
    return InvalidField("bytes", absl::StrCat("bytes is ", request.bytes(), "; it is above 0"));
  }
  return absl::OkStatus();
}

// Binds what was measured to the data that it was measured on, and to now.
void Bind(const Collection& collection, bool own_points, funnel::Certificate* certificate) {
  certificate->own_points = own_points;
  certificate->generation = collection.generation();
  certificate->sequence = collection.sequence();
  certificate->rows = collection.rows();
  certificate->created_unix_s = absl::ToUnixSeconds(absl::Now());
}

absl::Status SaveTuned(Registry& registry, const v1::TuneFunnelRequest& request,
                       const tune::TuneResult& result, funnel::Certificate certificate,
                       v1::TuneFunnelResponse* out) {
  const funnel::ProfileVersion version = {
      .version = 0,
      .funnel = result.held_out.plan.ToText(),
      .k = result.held_out.plan.k,
      .created_unix_s = absl::ToUnixSeconds(absl::Now()),
      .note = absl::StrFormat("tuned; held-out recall %.4f (%.4f-%.4f, %d queries)",
                              result.held_out.recall, result.held_out.interval.low,
                              result.held_out.interval.high, result.held_out_queries.size()),
      .certificate = std::move(certificate)};
  const std::string& name = request.save_as();
  const auto save = [&](funnel::ProfileSet& set) -> absl::Status {
    MRL_RETURN_IF_ERROR(set.Find(name) == nullptr ? set.Create(name, version)
                                                  : set.AddVersion(name, version));
    out->set_profile(name);
    out->set_profile_version(set.Find(name)->serving);
    return request.make_default() ? set.SetDefault(name) : absl::OkStatus();
  };
  return registry.EditProfiles(request.collection(), save);
}

// `search_ms`: per prefix.
void ToProto(const tune::DimensionReport& report, uint64_t element_bytes,
             const std::vector<double>& search_ms, v1::AnalyzeDimensionsResponse* out) {
  out->set_verdict(tune::ToString(report.verdict));
  for (const std::string& advice : tune::Advice(report)) out->add_advice(advice);
  out->set_gain(report.gain);
  out->set_gain_limit(report.gain_limit);
  out->set_k(report.k);
  out->set_rows(static_cast<uint32_t>(report.rows));
  out->set_queries(static_cast<uint32_t>(report.queries));
  for (const uint32_t keep : report.keeps) out->add_keeps(keep);
  for (const tune::PrefixQuality& prefix : report.prefixes) {
    v1::AnalyzeDimensionsResponse::Prefix* added = out->add_prefixes();
    added->set_dims(prefix.dims);
    added->set_recall(prefix.recall);
    added->set_low(prefix.interval.low);
    added->set_high(prefix.interval.high);
    added->set_overlap(prefix.overlap);
    added->set_kendall(prefix.kendall);
    for (const double share : prefix.shortlist) added->add_shortlist(share);
    for (const double share : prefix.control) added->add_control(share);
    added->set_energy(prefix.energy);
    added->set_bytes(prefix.dims * element_bytes);
    added->set_norm_mean(prefix.norm_mean);
    added->set_norm_deviation(prefix.norm_deviation);
    added->set_scan_ns_per_row(prefix.scan_ns_per_row);
    added->set_search_ms(search_ms[out->prefixes_size() - 1]);
  }
}

// Rows as they are stored: transformed, and queries of the same kind.
absl::StatusOr<std::vector<float>> StoredRows(const funnel::View& view,
                                              const std::vector<funnel::Location>& rows) {
  std::vector<float> values(rows.size() * view.schema.dim);
  for (size_t i = 0; i < rows.size(); ++i) {
    MRL_RETURN_IF_ERROR(view.parts[rows[i].part].segment->Prefix(
        rows[i].row, view.schema.levels() - 1, values.data() + i * view.schema.dim));
  }
  return values;
}

double ChangeMaxOf(const v1::MeasureRecallRequest& request) {
  return request.max_changed_share() == 0 ? funnel::Certificate::kChangeMax
                                          : request.max_changed_share();
}

absl::StatusOr<std::string> MeasureRecall(Registry& registry, Operations::Control& control,
                                          const v1::MeasureRecallRequest& request) {
  MRL_ASSIGN_OR_RETURN(const auto collection, registry.Find(request.collection()));
  MRL_ASSIGN_OR_RETURN(funnel::ChosenPlan chosen, PlanToMeasure(*collection, request));
  MRL_ASSIGN_OR_RETURN(const auto with,
                       Prepare(registry, control, request.collection(), request.queries(),
                               chosen.plan.k, request.filter()));
  if (with->narrowed) {
    chosen.plan = funnel::NarrowPlan(chosen.plan, collection->schema(), with->narrowed->rows(),
                                     with->collection->rows());
  }
  const auto lost_at = tune::LostAt(with->view(), with->queries, Stopped(control));
  MRL_ASSIGN_OR_RETURN(funnel::Certificate certificate,
                       tune::Certify(with->subject, lost_at, chosen.plan, Threads(),
                                     SeedOf(request.queries()), Progress(control)));
  Bind(*with->collection, !with->queries.own.empty(), &certificate);
  certificate.change_max = ChangeMaxOf(request);
  v1::MeasureRecallResponse result;
  if (request.filter().empty()) {
    MRL_RETURN_IF_ERROR(Keep(registry, request.collection(), chosen, certificate, &result));
  }
  server::ToProto(certificate, certificate.sequence, result.mutable_certificate());
  result.mutable_certificate()->set_filter(request.filter());
  return Packed(result);
}

absl::StatusOr<funnel::Certificate> CertifyTuned(const Measurable& with,
                                                 Operations::Control& control,
                                                 const tune::TuneResult& tuned,
                                                 const tune::TuneOptions& options) {
  const auto lost_at = tune::LostAt(with.collection->view(), with.queries, Stopped(control));
  MRL_ASSIGN_OR_RETURN(
      std::vector<double> lost,
      tune::LossPerStage(with.subject, lost_at, tuned.held_out.plan, tuned.held_out_queries,
                         tuned.held_out.recalls, options.k, options.threads));
  funnel::Certificate certificate =
      tune::ToCertificate(tuned.held_out, std::move(lost), options.seed);
  Bind(*with.collection, !with.queries.own.empty(), &certificate);
  return certificate;
}

absl::StatusOr<std::string> TuneFunnel(Registry& registry, Operations::Control& control,
                                       const v1::TuneFunnelRequest& request) {
  const tune::TuneOptions options = OptionsOf(request);
  MRL_ASSIGN_OR_RETURN(const auto with, Prepare(registry, control, request.collection(),
                                                request.queries(), options.k));
  MRL_ASSIGN_OR_RETURN(const tune::TuneResult tuned,
                       tune::Tune(with->subject, options, Progress(control)));
  v1::TuneFunnelResponse result;
  *result.mutable_held_out() = ToProto(tuned.held_out);
  *result.mutable_tuning() = ToProto(tuned.tuning);
  result.set_reached(tuned.reached);
  result.set_tried(tuned.tried);
  result.set_tuning_queries(static_cast<uint32_t>(tuned.tuning_queries.size()));
  result.set_held_out_queries(static_cast<uint32_t>(tuned.held_out_queries.size()));
  for (const tune::Measured& point : tuned.front) *result.add_front() = ToProto(point);
  if (!request.save_as().empty() && tuned.reached) {
    MRL_ASSIGN_OR_RETURN(funnel::Certificate certificate,
                         CertifyTuned(*with, control, tuned, options));
    MRL_RETURN_IF_ERROR(SaveTuned(registry, request, tuned, std::move(certificate), &result));
  }
  return Packed(result);
}

uint32_t DocumentsOf(const v1::AnalyzeDimensionsRequest& request) {
  return request.sample() == 0 ? kDocumentsDefault : request.sample();
}

// Queries from outside, as vectors are stored, or some of the documents, named by `own_rows`.
absl::StatusOr<tune::ViewQueries> QueriesToAnalyse(const Collection& collection,
                                                   const v1::AnalyzeDimensionsRequest& request,
                                                   const tune::DimensionReportInput& input,
                                                   std::vector<size_t>* own_rows) {
  tune::ViewQueries queries;
  if (request.queries().rows() > 0) {
    MRL_ASSIGN_OR_RETURN(queries, ReadMatrix(request.collection(), collection, request.queries()));
    tune::TransformQueries(collection.schema(), &queries);
    return queries;
  }
  const size_t rows = input.documents.rows;
  const size_t wanted =
      request.queries().sample() == 0 ? kSampleDefault : request.queries().sample();
  const size_t count = std::min(wanted, rows);
  queries.dims = collection.schema().dim;
  for (size_t i = 0; i < count; ++i) {
    const size_t row = i * rows / count;
    own_rows->push_back(row);
    const float* values = input.documents.row(row);
    queries.values.insert(queries.values.end(), values, values + queries.dims);
  }
  return queries;
}

absl::StatusOr<std::string> AnalyzeDimensions(Registry& registry, Operations::Control& control,
                                              const v1::AnalyzeDimensionsRequest& request) {
  MRL_ASSIGN_OR_RETURN(const auto collection, registry.Find(request.collection()));
  const funnel::View& view = collection->view();
  tune::DimensionReportInput input;
  input.seed = SeedOf(request.queries());
  const std::vector<funnel::Location> rows =
      tune::SampleRows(view, DocumentsOf(request), input.seed);
  MRL_ASSIGN_OR_RETURN(const std::vector<float> documents, StoredRows(view, rows));
  input.documents = {documents.data(), rows.size(), view.schema.dim};
  input.ladder = view.schema.ladder;
  input.metric = view.schema.metric;
  input.k = KOf(request.k());
  input.threads = Threads();
  input.stopped = Stopped(control);
  MRL_ASSIGN_OR_RETURN(const tune::ViewQueries queries,
                       QueriesToAnalyse(*collection, request, input, &input.own_rows));
  input.queries = {queries.values.data(), queries.rows(), queries.dims};
  MRL_ASSIGN_OR_RETURN(const tune::DimensionReport report,
                       tune::AnalyseDimensions(input, Progress(control)));
  MRL_ASSIGN_OR_RETURN(
      const std::vector<double> search_ms,
      tune::TimePrefixes(view, collection->plan_input(), queries, input.k, Stopped(control)));
  v1::AnalyzeDimensionsResponse result;
  ToProto(report, ElementBytes(view.schema.storage), search_ms, &result);
  return Packed(result);
}

// Of what reads the request's message and runs it.
template <typename Request>
Operations::Runner RunnerOf(Registry& registry,
                            absl::StatusOr<std::string> (*run)(Registry&, Operations::Control&,
                                                               const Request&)) {
  return [&registry, run](const Operation& operation,
                          Operations::Control& control) -> absl::StatusOr<std::string> {
    MRL_ASSIGN_OR_RETURN(const Request request, RequestOf<Request>(operation));
    return run(registry, control, request);
  };
}

}  // namespace

void ToProto(const funnel::Certificate& certificate, uint64_t sequence, v1::Certificate* out) {
  out->set_funnel_text(certificate.funnel);
  out->set_k(certificate.k);
  out->set_queries(certificate.queries);
  out->set_own_points(certificate.own_points);
  out->set_recall(certificate.recall);
  out->set_low(certificate.low);
  out->set_high(certificate.high);
  for (const double share : certificate.lost) out->add_lost(share);
  out->set_seed(certificate.seed);
  out->set_generation(certificate.generation);
  out->set_sequence(certificate.sequence);
  out->set_rows(certificate.rows);
  out->mutable_create_time()->set_seconds(certificate.created_unix_s);
  out->set_max_changed_share(certificate.change_max);
  out->set_changed_share(certificate.ChangedShare(sequence));
  out->set_expired(certificate.Expired(sequence));
  out->set_method(tune::kCertificateMethod);
}

std::map<std::string, Operations::Runner> MakeQualityRunners(Registry& registry) {
  return {{"MeasureRecall", RunnerOf(registry, &MeasureRecall)},
          {"TuneFunnel", RunnerOf(registry, &TuneFunnel)},
          {"AnalyzeDimensions", RunnerOf(registry, &AnalyzeDimensions)}};
}

absl::Status CheckRequest(const Registry& registry, const v1::MeasureRecallRequest& request) {
  MRL_ASSIGN_OR_RETURN(const auto collection, registry.Find(request.collection()));
  if (const double share = ChangeMaxOf(request); !(share > 0 && share <= 1)) {
    return InvalidField("max_changed_share",
                        absl::StrCat("max_changed_share is ", share, "; above 0 to 1 is accepted"));
  }
  MRL_RETURN_IF_ERROR(CheckQueries(request.collection(), *collection, request.queries()));
  if (!request.filter().empty()) {
    MRL_RETURN_IF_ERROR(ReadFilter(request.filter(), collection->schema()).status());
  }
  return PlanToMeasure(*collection, request).status();
}

absl::Status CheckRequest(const Registry& registry, const v1::TuneFunnelRequest& request) {
  MRL_ASSIGN_OR_RETURN(const auto collection, registry.Find(request.collection()));
  MRL_RETURN_IF_ERROR(CheckTarget(request));
  MRL_RETURN_IF_ERROR(OptionsOf(request).Validate());
  if (!request.save_as().empty()) {
    MRL_RETURN_IF_ERROR(WithField(funnel::CheckProfileName(request.save_as()), "save_as"));
  }
  return CheckQueries(request.collection(), *collection, request.queries());
}

absl::Status CheckRequest(const Registry& registry, const v1::AnalyzeDimensionsRequest& request) {
  MRL_ASSIGN_OR_RETURN(const auto collection, registry.Find(request.collection()));
  if (const uint32_t sample = DocumentsOf(request);
      sample < kDocumentsMin || sample > kDocumentsMax) {
    return InvalidField("sample", absl::StrCat("sample is ", sample, "; ", kDocumentsMin, " to ",
                                               kDocumentsMax, " are accepted"));
  }
  if (const uint32_t k = KOf(request.k()); k > funnel::Limits::kKMax) {
    return InvalidField(
        "k", absl::StrCat("k is ", k, "; 1 to ", funnel::Limits::kKMax, " are accepted"));
  }
  return CheckQueries(request.collection(), *collection, request.queries());
}

}  // namespace mrl::server
