// The part of the client that is about funnels: profiles, their recall, tuning.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "client/cpp/client.h"
#include "mrl/v1/operation.pb.h"

namespace mrl::client {
namespace {

constexpr absl::Duration kFirstWait = absl::Milliseconds(20);
constexpr absl::Duration kLongestWait = absl::Seconds(1);

Certificate FromProto(const v1::Certificate& certificate) {
  Certificate out;
  out.funnel = certificate.funnel_text();
  out.k = certificate.k();
  out.queries = certificate.queries();
  out.own_points = certificate.own_points();
  out.recall = certificate.recall();
  out.low = certificate.low();
  out.high = certificate.high();
  out.lost.assign(certificate.lost().begin(), certificate.lost().end());
  out.sequence = certificate.sequence();
  out.rows = certificate.rows();
  out.changed_share = certificate.changed_share();
  out.expired = certificate.expired();
  out.filter = certificate.filter();
  return out;
}

MeasuredFunnel FromProto(const v1::MeasuredFunnel& measured) {
  return {measured.funnel_text(), measured.recall(), measured.low(),    measured.high(),
          measured.mean_ms(),     measured.p50_ms(), measured.p99_ms(), measured.mean_bytes()};
}

Tuned FromProto(const v1::TuneFunnelResponse& result) {
  Tuned out;
  out.held_out = FromProto(result.held_out());
  out.tuning = FromProto(result.tuning());
  out.reached = result.reached();
  out.tried = result.tried();
  for (const v1::MeasuredFunnel& point : result.front()) out.front.push_back(FromProto(point));
  out.profile = result.profile();
  out.profile_version = result.profile_version();
  return out;
}

void ToProto(const JobQueries& queries, v1::JobQueries* out) {
  out->set_seed(queries.seed);
  if (queries.rows == 0) {
    out->set_sample(queries.sample);
    return;
  }
  out->set_rows(queries.rows);
  out->mutable_vectors()->set_dtype(v1::DTYPE_F32);
  out->mutable_vectors()->set_data(queries.vectors.data(), queries.vectors.size() * sizeof(float));
}

DimensionReport FromProto(const v1::AnalyzeDimensionsResponse& report) {
  DimensionReport out;
  out.verdict = report.verdict();
  out.advice.assign(report.advice().begin(), report.advice().end());
  out.gain = report.gain();
  out.gain_limit = report.gain_limit();
  out.k = report.k();
  out.rows = report.rows();
  out.queries = report.queries();
  out.keeps.assign(report.keeps().begin(), report.keeps().end());
  for (const v1::AnalyzeDimensionsResponse::Prefix& prefix : report.prefixes()) {
    out.prefixes.push_back({prefix.dims(),
                            prefix.recall(),
                            prefix.low(),
                            prefix.high(),
                            prefix.overlap(),
                            prefix.kendall(),
                            {prefix.shortlist().begin(), prefix.shortlist().end()},
                            {prefix.control().begin(), prefix.control().end()},
                            prefix.energy(),
                            prefix.bytes(),
                            prefix.norm_mean(),
                            prefix.norm_deviation(),
                            prefix.scan_ns_per_row(),
                            prefix.search_ms()});
  }
  return out;
}

Profile FromProto(const v1::Profile& profile) {
  Profile out{profile.name(),       profile.serving_version(), profile.funnel_text(),
              profile.is_default(), profile.shadow_share(),    {}};
  for (const v1::ProfileVersion& version : profile.versions()) {
    out.versions.push_back({version.version(),
                            version.funnel_text(),
                            version.k(),
                            version.create_time().seconds(),
                            version.note(),
                            {}});
    if (version.has_certificate()) {
      out.versions.back().certificate = FromProto(version.certificate());
    }
  }
  return out;
}

absl::StatusOr<Profile> FromProto(const absl::StatusOr<v1::Profile>& profile) {
  MRL_RETURN_IF_ERROR(profile.status());
  return FromProto(*profile);
}

}  // namespace

absl::StatusOr<Profile> Client::CreateProfile(const std::string& collection,
                                              const std::string& name,
                                              const ProfileVersion& version, bool make_default) {
  v1::CreateProfileRequest request;
  request.set_collection(collection);
  request.set_profile(name);
  request.set_funnel_text(version.funnel);
  request.set_k(version.k);
  request.set_note(version.note);
  request.set_make_default(make_default);
  return FromProto(connection_->CreateProfile(request));
}

absl::StatusOr<Profile> Client::GetProfile(const std::string& collection, const std::string& name) {
  v1::GetProfileRequest request;
  request.set_collection(collection);
  request.set_profile(name);
  return FromProto(connection_->GetProfile(request));
}

absl::StatusOr<std::vector<Profile>> Client::ListProfiles(const std::string& collection) {
  v1::ListProfilesRequest request;
  request.set_collection(collection);
  MRL_ASSIGN_OR_RETURN(const v1::ListProfilesResponse response, connection_->ListProfiles(request));
  std::vector<Profile> out;
  for (const v1::Profile& profile : response.profiles()) out.push_back(FromProto(profile));
  return out;
}

absl::StatusOr<Profile> Client::UpdateProfile(const std::string& collection,
                                              const std::string& name,
                                              const ProfileChange& change) {
  v1::UpdateProfileRequest request;
  request.set_collection(collection);
  request.set_profile(name);
  request.set_k(change.k);
  request.set_note(change.note);
  if (change.serving_version) request.set_serving_version(*change.serving_version);
  if (change.funnel) request.set_funnel_text(*change.funnel);
  if (change.is_default) request.set_is_default(*change.is_default);
  if (change.shadow_share) request.set_shadow_share(*change.shadow_share);
  return FromProto(connection_->UpdateProfile(request));
}

absl::Status Client::Await(const absl::StatusOr<google::longrunning::Operation>& started,
                           const Progress& progress, google::protobuf::Message* response) {
  MRL_RETURN_IF_ERROR(started.status());
  google::longrunning::Operation now = *started;
  google::longrunning::GetOperationRequest request;
  request.set_name(now.name());
  absl::Duration wait = kFirstWait;
  while (true) {
    v1::OperationMetadata at;
    if (progress && now.metadata().UnpackTo(&at)) progress(at.rows_done(), at.rows());
    if (now.done()) break;
    absl::SleepFor(wait);
    wait = std::min(wait * 3 / 2, kLongestWait);
    MRL_ASSIGN_OR_RETURN(now, connection_->GetOperation(request));
  }
  if (now.has_error()) {
    return absl::Status(static_cast<absl::StatusCode>(now.error().code()), now.error().message());
  }
  if (now.response().UnpackTo(response)) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(now.name(), " ended without a result"));
}

absl::StatusOr<Certificate> Client::MeasureRecall(const std::string& collection,
                                                  const CertifyOptions& options,
                                                  const Progress& progress) {
  v1::MeasureRecallRequest request;
  request.set_collection(collection);
  if (!options.profile.empty()) request.set_profile(options.profile);
  if (!options.funnel.empty()) request.set_funnel_text(options.funnel);
  request.set_k(options.k);
  request.set_max_changed_share(options.max_changed_share);
  request.set_filter(options.filter);
  ToProto(options.queries, request.mutable_queries());
  v1::MeasureRecallResponse response;
  MRL_RETURN_IF_ERROR(Await(connection_->MeasureRecall(request), progress, &response));
  Certificate certificate = FromProto(response.certificate());
  certificate.profile = response.profile();
  certificate.profile_version = response.profile_version();
  return certificate;
}

absl::StatusOr<Tuned> Client::TuneFunnel(const std::string& collection, const TuneOptions& options,
                                         const Progress& progress) {
  v1::TuneFunnelRequest request;
  request.set_collection(collection);
  if (options.p99_ms > 0) {
    request.set_p99_ms(options.p99_ms);
  } else if (options.bytes > 0) {
    request.set_bytes(options.bytes);
  } else {
    request.set_recall(options.recall);
  }
  request.set_k(options.k);
  ToProto(options.queries, request.mutable_queries());
  request.set_save_as(options.save_as);
  request.set_make_default(options.make_default);
  v1::TuneFunnelResponse response;
  MRL_RETURN_IF_ERROR(Await(connection_->TuneFunnel(request), progress, &response));
  return FromProto(response);
}

absl::StatusOr<DimensionReport> Client::AnalyzeDimensions(const std::string& collection,
                                                          const AnalyzeOptions& options,
                                                          const Progress& progress) {
  v1::AnalyzeDimensionsRequest request;
  request.set_collection(collection);
  request.set_k(options.k);
  request.set_sample(options.sample);
  ToProto(options.queries, request.mutable_queries());
  v1::AnalyzeDimensionsResponse response;
  MRL_RETURN_IF_ERROR(Await(connection_->AnalyzeDimensions(request), progress, &response));
  return FromProto(response);
}

absl::Status Client::DeleteProfile(const std::string& collection, const std::string& name) {
  v1::DeleteProfileRequest request;
  request.set_collection(collection);
  request.set_profile(name);
  return connection_->DeleteProfile(request);
}

}  // namespace mrl::client
