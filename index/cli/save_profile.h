// Puts a plan under a name into an index directory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "index/collection/collection.h"
#include "index/funnel/plan.h"
#include "index/funnel/profile.h"

namespace mrl::cli {

struct ProfileToSave {
  std::string name, note;
  std::optional<funnel::Certificate> certificate = {};
  bool make_default = false;
};
// A new profile, or the next version of one that is there; it serves at once. Returns the version.
absl::StatusOr<uint32_t> SaveProfile(const std::string& index, const funnel::Plan& plan,
                                     const ProfileToSave& profile);
// Binds what was measured to the data that it was measured on, and to now.
void Bind(const collection::Collection& collection, funnel::Certificate* certificate);

}  // namespace mrl::cli
