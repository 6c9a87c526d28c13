#include "index/funnel/profile.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "base/status.h"

namespace mrl::funnel {
namespace {

absl::Status CheckVersion(const ProfileVersion& version) {
  if (version.k == 0 || version.k > Limits::kKMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("the profile's k is ", version.k, "; 1 to ", Limits::kKMax, " is accepted"));
  }
  if (version.note.size() > ProfileSet::kNoteBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the note has ", version.note.size(), " bytes; the limit is ", ProfileSet::kNoteBytesMax));
  }
  if (version.certificate.has_value()) MRL_RETURN_IF_ERROR(version.certificate->Validate());
  return ParseFunnel(version.funnel).status();
}

absl::Status CheckShare(double share) {
  if (share >= 0 && share <= 1) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the shadow's share is ", share, "; 0 to 1 is accepted"));
}

absl::Status CheckProfile(const Profile& profile) {
  MRL_RETURN_IF_ERROR(CheckProfileName(profile.name));
  uint32_t before = 0;
  for (const ProfileVersion& version : profile.versions) {
    if (version.version <= before) {
      return absl::InvalidArgumentError(absl::StrCat("profile '", profile.name, "' has version ",
                                                     version.version, " after ", before));
    }
    before = version.version;
    MRL_RETURN_IF_ERROR(CheckVersion(version));
  }
  if (profile.Find(profile.serving) == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("profile '", profile.name, "' has no version ",
                                                   profile.serving, ", which serves"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckProfileName(absl::string_view name) {
  bool good = !name.empty() && name.size() <= ProfileSet::kNameBytesMax;
  for (size_t i = 0; good && i < name.size(); ++i) {
    const auto c = static_cast<unsigned char>(name[i]);
    good = absl::ascii_islower(c) || absl::ascii_isdigit(c) || (i > 0 && (c == '_' || c == '-'));
  }
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "'", name.substr(0, ProfileSet::kNameBytesMax), "' is no name of a profile; 1 to ",
      ProfileSet::kNameBytesMax, " of a-z, 0-9, _ and -, a letter or digit first, are accepted"));
}

double Certificate::ChangedShare(uint64_t sequence_now) const {
  const double writes = sequence_now > sequence ? static_cast<double>(sequence_now - sequence) : 0;
  return writes / static_cast<double>(std::max<uint64_t>(1, rows));
}

absl::Status Certificate::Validate() const {
  double sum = recall;
  for (const double share : lost) sum += share;
  const bool good = low >= 0 && low <= recall && recall <= high && high <= 1 && queries > 0 &&
                    std::abs(sum - 1) < 1e-6;
  if (!good) {
    return absl::InvalidArgumentError(absl::StrCat("a certificate says recall ", recall, " in ",
                                                   low, " to ", high, " and losses that add up to ",
                                                   sum, " with ", queries, " queries"));
  }
  if (change_max > 0 && change_max <= 1) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("the share of changes that ends a certificate is ",
                                                 change_max, "; above 0 to 1 is accepted"));
}

const ProfileVersion* Profile::Find(uint32_t version) const {
  for (const ProfileVersion& one : versions) {
    if (one.version == version) return &one;
  }
  return nullptr;
}

const ProfileVersion& Profile::served() const {
  const ProfileVersion* version = Find(serving);
  CHECK(version != nullptr);
  return *version;
}

const Profile* ProfileSet::Find(absl::string_view name) const {
  for (const Profile& profile : profiles) {
    if (profile.name == name) return &profile;
  }
  return nullptr;
}

absl::StatusOr<const Profile*> ProfileSet::Get(absl::string_view name) const {
  if (const Profile* profile = Find(name)) return profile;
  const auto append_name = [](std::string* out, const Profile& profile) {
    absl::StrAppend(out, "'", profile.name, "'");
  };
  return absl::NotFoundError(absl::StrCat(
      "profile '", name.substr(0, kNameBytesMax), "' does not exist; ",
      profiles.empty() ? "the collection has none"
                       : absl::StrCat("these do: ", absl::StrJoin(profiles, ", ", append_name))));
}

absl::StatusOr<Profile*> ProfileSet::GetMutable(absl::string_view name) {
  MRL_ASSIGN_OR_RETURN(const Profile* found, Get(name));
  return &profiles[static_cast<size_t>(found - profiles.data())];
}

absl::Status ProfileSet::Create(absl::string_view name, ProfileVersion version) {
  MRL_RETURN_IF_ERROR(CheckProfileName(name));
  MRL_RETURN_IF_ERROR(CheckVersion(version));
  if (Find(name) != nullptr) {
    return absl::AlreadyExistsError(absl::StrCat("profile '", name, "' exists already"));
  }
  if (profiles.size() >= kProfilesMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the collection has ", profiles.size(), " profiles, which is the limit"));
  }
  Profile profile;
  profile.name = std::string(name);
  profile.serving = version.version = 1;
  profile.versions.push_back(std::move(version));
  const auto after = std::find_if(profiles.begin(), profiles.end(),
                                  [&](const Profile& other) { return other.name > profile.name; });
  profiles.insert(after, std::move(profile));
  return absl::OkStatus();
}

absl::Status ProfileSet::AddVersion(absl::string_view name, ProfileVersion version) {
  MRL_RETURN_IF_ERROR(CheckVersion(version));
  MRL_ASSIGN_OR_RETURN(Profile * profile, GetMutable(name));
  version.version = profile->versions.back().version + 1;
  profile->serving = version.version;
  profile->versions.push_back(std::move(version));
  if (profile->versions.size() > kVersionsMax) profile->versions.erase(profile->versions.begin());
  return absl::OkStatus();
}

absl::Status ProfileSet::RollBack(absl::string_view name, uint32_t version) {
  MRL_ASSIGN_OR_RETURN(Profile * profile, GetMutable(name));
  if (version == 0) {
    for (const ProfileVersion& one : profile->versions) {
      if (one.version < profile->serving) version = one.version;
    }
    if (version == 0) {
      return absl::NotFoundError(absl::StrCat("profile '", name, "' has no version before ",
                                              profile->serving, ", which serves"));
    }
  }
  if (profile->Find(version) == nullptr) {
    return absl::NotFoundError(absl::StrCat(
        "profile '", name, "' has no version ", version, "; it has ",
        absl::StrJoin(profile->versions, ", ", [](std::string* out, const ProfileVersion& one) {
          absl::StrAppend(out, one.version);
        })));
  }
  profile->serving = version;
  return absl::OkStatus();
}

absl::Status ProfileSet::SetDefault(absl::string_view name) {
  if (!name.empty()) MRL_RETURN_IF_ERROR(Get(name).status());
  default_name = std::string(name);
  return absl::OkStatus();
}

absl::Status ProfileSet::SetShadow(absl::string_view name, double share) {
  MRL_RETURN_IF_ERROR(CheckShare(share));
  MRL_RETURN_IF_ERROR(Get(name).status());
  if (share > 0) {
    shadow_name = std::string(name);
    shadow_share = share;
  } else if (shadow_name == name) {
    shadow_name.clear();
    shadow_share = 0;
  }
  return absl::OkStatus();
}

absl::Status ProfileSet::SetCertificate(absl::string_view name, uint32_t version,
                                        Certificate certificate) {
  MRL_RETURN_IF_ERROR(certificate.Validate());
  MRL_ASSIGN_OR_RETURN(Profile * profile, GetMutable(name));
  for (ProfileVersion& one : profile->versions) {
    if (one.version != version) continue;
    one.certificate = std::move(certificate);
    return absl::OkStatus();
  }
  return absl::NotFoundError(absl::StrCat("profile '", name, "' has no version ", version));
}

absl::Status ProfileSet::Delete(absl::string_view name) {
  MRL_ASSIGN_OR_RETURN(const Profile* profile, Get(name));
  if (default_name == name) {
    return absl::FailedPreconditionError(absl::StrCat(
        "profile '", name, "' is the default; make another the default, or none, before"));
  }
  MRL_RETURN_IF_ERROR(SetShadow(name, 0));
  profiles.erase(profiles.begin() + (profile - profiles.data()));
  return absl::OkStatus();
}

absl::Status ProfileSet::Validate() const {
  absl::string_view before;
  for (const Profile& profile : profiles) {
    MRL_RETURN_IF_ERROR(CheckProfile(profile));
    if (profile.name <= before) {
      return absl::InvalidArgumentError(
          absl::StrCat("profile '", profile.name, "' stands after '", before, "'"));
    }
    before = profile.name;
  }
  MRL_RETURN_IF_ERROR(CheckShare(shadow_share));
  for (const std::string& name : {default_name, shadow_name}) {
    if (!name.empty()) MRL_RETURN_IF_ERROR(Get(name).status());
  }
  if (shadow_name.empty() == (shadow_share == 0)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the shadow '", shadow_name, "' has the share ", shadow_share));
}

absl::StatusOr<Funnel> FunnelFor(const ProfileVersion& version, uint32_t k) {
  MRL_ASSIGN_OR_RETURN(Funnel funnel, ParseFunnel(version.funnel));
  funnel.stages.back().keep = 0;  // whatever k is asked for
  if (k <= version.k) return funnel;
  const double growth = static_cast<double>(k) / version.k;
  for (Stage& stage : funnel.stages) {
    stage.keep =
        static_cast<uint32_t>(std::min<double>(Limits::kKeepMax, std::ceil(stage.keep * growth)));
  }
  return funnel;
}

absl::StatusOr<ChosenPlan> ChoosePlan(const ProfileSet& profiles, absl::string_view name,
                                      PlanInput input) {
  ChosenPlan chosen;
  const bool asks_otherwise = input.exact || input.funnel.has_value();
  if (!name.empty() && asks_otherwise) {
    return absl::InvalidArgumentError(
        absl::StrCat("profile '", name, "' and ", input.exact ? "exact search" : "a funnel",
                     " were both asked for: leave one of the two out"));
  }
  const bool by_default = name.empty() && !asks_otherwise;
  if (by_default) name = profiles.default_name;
  if (!name.empty()) {
    MRL_ASSIGN_OR_RETURN(const Profile* profile, profiles.Get(name));
    const ProfileVersion& version = profile->served();
    MRL_ASSIGN_OR_RETURN(input.funnel, FunnelFor(version, input.k));
    if (by_default && input.funnel->stages.back().dims > input.query_dims) {
      input.funnel.reset();
    } else {
      chosen.profile = profile->name;
      chosen.version = version.version;
    }
  }
  absl::StatusOr<Plan> plan = MakePlan(input);
  if (!plan.ok() && chosen.version > 0) {
    return Annotate(plan.status(),
                    absl::StrCat("profile '", chosen.profile, "' version ", chosen.version));
  }
  MRL_RETURN_IF_ERROR(plan.status());
  chosen.plan = *std::move(plan);
  return chosen;
}

}  // namespace mrl::funnel
