// Profiles of a collection as the API knows them.
#pragma once

#include "absl/status/statusor.h"
#include "index/funnel/profile.h"
#include "mrl/v1/funnel.pb.h"
#include "server/registry.h"

namespace mrl::server {

absl::Status RunCreateProfile(Registry& registry, const v1::CreateProfileRequest& request,
                              v1::Profile* out);
absl::Status RunGetProfile(const Registry& registry, const v1::GetProfileRequest& request,
                           v1::Profile* out);
// Of each profile the version that serves.
absl::Status RunListProfiles(const Registry& registry, const v1::ListProfilesRequest& request,
                             v1::ListProfilesResponse* out);
absl::Status RunUpdateProfile(Registry& registry, const v1::UpdateProfileRequest& request,
                              v1::Profile* out);
absl::Status RunDeleteProfile(Registry& registry, const v1::DeleteProfileRequest& request);

}  // namespace mrl::server
