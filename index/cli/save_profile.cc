#include "index/cli/save_profile.h"

#include "absl/time/clock.h"
#include "base/status.h"
#include "index/collection/profiles.h"

namespace mrl::cli {

absl::StatusOr<uint32_t> SaveProfile(const std::string& index, const funnel::Plan& plan,
                                     const ProfileToSave& profile) {
  const funnel::ProfileVersion version = {.version = 0,
                                          .funnel = plan.ToText(),
                                          .k = plan.k,
                                          .created_unix_s = absl::ToUnixSeconds(absl::Now()),
                                          .note = profile.note,
                                          .certificate = profile.certificate};
  const std::string& name = profile.name;
  uint32_t saved = 0;
  const auto save = [&](funnel::ProfileSet& set) -> absl::Status {
    MRL_RETURN_IF_ERROR(set.Find(name) == nullptr ? set.Create(name, version)
                                                  : set.AddVersion(name, version));
    saved = set.Find(name)->serving;
    return profile.make_default ? set.SetDefault(name) : absl::OkStatus();
  };
  MRL_RETURN_IF_ERROR(collection::EditProfiles(FileSystem::Posix(), index, save));
  return saved;
}

void Bind(const collection::Collection& collection, funnel::Certificate* certificate) {
  certificate->generation = collection.generation();
  certificate->sequence = collection.sequence();
  certificate->rows = collection.rows();
  certificate->created_unix_s = absl::ToUnixSeconds(absl::Now());
}

}  // namespace mrl::cli
