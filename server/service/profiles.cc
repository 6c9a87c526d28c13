#include "server/service/profiles.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "server/limits.h"
#include "server/rpc/error.h"
#include "server/service/quality.h"

namespace mrl::server {
namespace {

constexpr uint32_t kDefaultK = 10;

void ToProto(const funnel::ProfileVersion& version, uint64_t sequence, v1::ProfileVersion* out) {
  out->set_version(version.version);
  out->set_funnel_text(version.funnel);
  out->set_k(version.k);
  out->mutable_create_time()->set_seconds(version.created_unix_s);
  out->set_note(version.note);
  if (version.certificate.has_value()) {
    server::ToProto(*version.certificate, sequence, out->mutable_certificate());
  }
}

// All but the versions.
void ToProto(const funnel::ProfileSet& set, const funnel::Profile& profile, v1::Profile* out) {
  out->set_name(profile.name);
  out->set_serving_version(profile.serving);
  out->set_funnel_text(profile.served().funnel);
  out->set_is_default(set.default_name == profile.name);
  if (set.shadow_name == profile.name) out->set_shadow_share(set.shadow_share);
}

// The version that a request asks for, once it is known that the collection can run it.
absl::StatusOr<funnel::ProfileVersion> ReadVersion(const collection::Collection& collection,
                                                   const std::string& text, uint32_t k,
                                                   const std::string& note) {
  if (text.size() > Limits::kFunnelTextBytes) {
    return InvalidField("funnel_text",
                        absl::StrCat("funnel has ", text.size(), " bytes; the limit is ",
                                     Limits::kFunnelTextBytes));
  }
  funnel::PlanInput input = collection.plan_input();
  if (k != 0) input.k = k;
  auto parsed = funnel::ParseFunnel(text);
  if (!parsed.ok()) return WithField(parsed.status(), "funnel_text");
  input.funnel = *std::move(parsed);
  MRL_RETURN_IF_ERROR(WithField(funnel::MakePlan(input).status(), "funnel_text"));
  return funnel::ProfileVersion{.version = 0,
                                .funnel = funnel::FormatFunnel(*input.funnel),
                                .k = k == 0 ? kDefaultK : k,
                                .created_unix_s = absl::ToUnixSeconds(absl::Now()),
                                .note = note};
}

absl::Status Update(const funnel::ProfileVersion& version, const v1::UpdateProfileRequest& request,
                    funnel::ProfileSet& set) {
  const std::string& name = request.profile();
  MRL_RETURN_IF_ERROR(set.Get(name).status());
  if (request.has_funnel_text()) MRL_RETURN_IF_ERROR(set.AddVersion(name, version));
  if (request.has_serving_version()) {
    MRL_RETURN_IF_ERROR(set.RollBack(name, request.serving_version()));
  }
  if (request.has_is_default() && (request.is_default() || set.default_name == name)) {
    MRL_RETURN_IF_ERROR(set.SetDefault(request.is_default() ? name : ""));
  }
  if (!request.has_shadow_share()) return absl::OkStatus();
  return WithField(set.SetShadow(name, request.shadow_share()), "shadow_share");
}

}  // namespace

absl::Status RunGetProfile(const Registry& registry, const v1::GetProfileRequest& request,
                           v1::Profile* out) {
  MRL_ASSIGN_OR_RETURN(const auto collection, registry.Find(request.collection()));
  const funnel::ProfileSet& set = collection->profiles();
  MRL_ASSIGN_OR_RETURN(const funnel::Profile* profile, set.Get(request.profile()));
  ToProto(set, *profile, out);
  for (const funnel::ProfileVersion& version : profile->versions) {
    ToProto(version, collection->sequence(), out->add_versions());
  }
  return absl::OkStatus();
}

absl::Status RunListProfiles(const Registry& registry, const v1::ListProfilesRequest& request,
                             v1::ListProfilesResponse* out) {
  MRL_ASSIGN_OR_RETURN(const auto collection, registry.Find(request.collection()));
  const funnel::ProfileSet& set = collection->profiles();
  for (const funnel::Profile& profile : set.profiles) {
    v1::Profile* added = out->add_profiles();
    ToProto(set, profile, added);
    ToProto(profile.served(), collection->sequence(), added->add_versions());
  }
  return absl::OkStatus();
}

absl::Status RunCreateProfile(Registry& registry, const v1::CreateProfileRequest& request,
                              v1::Profile* out) {
  MRL_ASSIGN_OR_RETURN(const auto collection, registry.Find(request.collection()));
  MRL_ASSIGN_OR_RETURN(
      const funnel::ProfileVersion version,
      ReadVersion(*collection, request.funnel_text(), request.k(), request.note()));
  const auto create = [&](funnel::ProfileSet& set) -> absl::Status {
    MRL_RETURN_IF_ERROR(set.Create(request.profile(), version));
    return request.make_default() ? set.SetDefault(request.profile()) : absl::OkStatus();
  };
  if (request.validate_only()) {
    funnel::ProfileSet trial = collection->profiles();
    MRL_RETURN_IF_ERROR(create(trial));
    ToProto(trial, *trial.Find(request.profile()), out);
    return absl::OkStatus();
  }
  MRL_RETURN_IF_ERROR(registry.EditProfiles(request.collection(), create));
  v1::GetProfileRequest get;
  get.set_collection(request.collection());
  get.set_profile(request.profile());
  return RunGetProfile(registry, get, out);
}

absl::Status RunUpdateProfile(Registry& registry, const v1::UpdateProfileRequest& request,
                              v1::Profile* out) {
  MRL_ASSIGN_OR_RETURN(const auto collection, registry.Find(request.collection()));
  funnel::ProfileVersion version;
  if (request.has_funnel_text()) {
    MRL_ASSIGN_OR_RETURN(
        version, ReadVersion(*collection, request.funnel_text(), request.k(), request.note()));
  }
  MRL_RETURN_IF_ERROR(registry.EditProfiles(request.collection(), [&](funnel::ProfileSet& set) {
    return Update(version, request, set);
  }));
  v1::GetProfileRequest get;
  get.set_collection(request.collection());
  get.set_profile(request.profile());
  return RunGetProfile(registry, get, out);
}

absl::Status RunDeleteProfile(Registry& registry, const v1::DeleteProfileRequest& request) {
  return registry.EditProfiles(
      request.collection(), [&](funnel::ProfileSet& set) { return set.Delete(request.profile()); });
}

}  // namespace mrl::server
